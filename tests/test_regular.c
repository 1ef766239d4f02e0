/* Opening what is to be read: files, and what is refused at once instead of being waited for. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"
#include "files.h"
#include "io/regular.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void try_to_open(void *arg)
{
  size_t size;
  fclose(regular_open(arg, &size));
}

static void refused(const char *path, const char *why)
{
  expect_failure_with(try_to_open, (void *)path, path, why, NULL);
}

static void a_file(void **state)
{
  (void)state;
  char text[8] = "";
  size_t size;
  const char *path = files_path("text");
  files_write(path, "seven\0!", 7);
  FILE *f = regular_open(path, &size);
  assert_int_equal(size, 7);
  assert_int_equal(fread(text, 1, sizeof text, f), 7);
  assert_memory_equal(text, "seven\0!", 7);
  fclose(f);
  assert_int_equal(symlink("text", files_path("link")), 0);
  f = regular_open(files_path("link"), &size);
  assert_int_equal(size, 7);
  fclose(f);
  files_write(path, "", 0);
  f = regular_open(path, &size);
  assert_int_equal(size, 0);
  fclose(f);
}

static void no_file(void **state)
{
  (void)state;
  refused(files_path("missing"), "No such file");
  refused(files_path("."), "is a directory, expected a file");
  refused("/dev/null", "not a regular file");
  assert_int_equal(mkfifo(files_path("pipe"), 0666), 0);
  refused(files_path("pipe"), "not a regular file"); /* nobody ever writes into it */
}

#define TEST(name) cmocka_unit_test_setup(name, files_clear)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(a_file),
      TEST(no_file),
  };
  return cmocka_run_group_tests(tests, files_setup, files_teardown);
}

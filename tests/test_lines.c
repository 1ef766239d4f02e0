/* Text with a number a line. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "file_calls.h"
#include "files.h"

#include <math.h>
#include <string.h>

static void numbers(void **state)
{
  (void)state;
  static const char text[] = "# what it is\n\n 1\n-2.5e-3 # here too\n\t0x1p-3\r\nnan\n-inf\n+7.\n.5";
  const char *path = files_path("logits.txt");
  double x[7];
  files_write(path, text, strlen(text));
  TensorFile *f = file_open(path);
  assert_string_equal(file_format(f), "text");
  check_file_tensor(f, "logits", FILE_F64, 1, (int[]){7}, 7);
  file_read_doubles(f, file_tensor(f, 0), x);
  assert_true(x[0] == 1 && x[1] == -2.5e-3 && x[2] == 0.125 && isnan(x[3]) && x[4] == -(double)INFINITY);
  assert_true(x[5] == 7 && x[6] == 0.5);
  file_close(f);
}

static void refused(const char *text, size_t n, const char *says)
{
  const char *path = files_path("bad.txt");
  files_write(path, text, n);
  open_must_fail(path, says);
}

static void what_is_none(void **state)
{
  (void)state;
  char longest[600];
  refused("1\n2 3\n", 6, "line 2 is \"2 3\", expected a number");
  refused("1\n\n# x\n2,\n", 10, "line 4 is \"2,\"");
  refused("one\n", 4, "line 1 is \"one\"");
  refused("1234567890123456789012345678901234567890123456789012345678901234\n\x1b[2J\n", 70, "line 2 is \"?[2J\"");
  refused("# nothing\n\n", 11, "without a number");
  memset(longest, '1', sizeof longest);
  refused(longest, sizeof longest, "line 1 has 600 characters");
}

#define TEST(name) cmocka_unit_test_setup(name, files_clear)

int main(void)
{
  const struct CMUnitTest tests[] = {TEST(numbers), TEST(what_is_none)};
  return cmocka_run_group_tests(tests, files_setup, files_teardown);
}

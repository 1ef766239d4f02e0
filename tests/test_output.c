/* Files that are written beneath one directory: where a path leads, links, races, and that a file is there whole or
   not. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "io/output.h"
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* In the directory of this program: beside/victim, and in/ with links that lead out of it and into it. */
static int open_places(void **state)
{
  if (files_clear(state)) return -1;
  mkdir(files_path("beside"), 0777);
  mkdir(files_path("in"), 0777);
  mkdir(files_path("in/a"), 0777);
  files_write(files_path("beside/victim"), "text", 4);
  int failed = symlink("../beside", files_path("in/out")) || symlink("../beside/victim", files_path("in/file")) ||
               symlink("../beside/new", files_path("in/nothing")) || symlink("a", files_path("in/within")) ||
               symlink("loop", files_path("in/loop")) || symlink("in", files_path("linked"));
  return failed || output_limit(files_path("in")) ? -1 : 0;
}

static int close_places(void **state)
{
  output_limit(NULL);
  return files_clear(state);
}

static void outside_is_as_it_was(void)
{
  size_t n;
  unsigned char *text = files_read(files_path("beside/victim"), &n);
  assert_int_equal(n, 4);
  assert_memory_equal(text, "text", 4);
  free(text);
  assert_true(unlink(files_path("beside/victim")) == 0);
  assert_int_equal(rmdir(files_path("beside")), 0); /* nothing else was in it */
}

static int write_whole(const char *path, const char *text)
{
  Output o;
  int error = output_begin(&o, path);
  if (error) return error;
  fputs(text, o.file);
  return output_commit(&o);
}

static void assert_text(const char *path, const char *expected)
{
  size_t n;
  unsigned char *text = files_read(path, &n);
  assert_int_equal(n, strlen(expected));
  assert_memory_equal(text, expected, n);
  free(text);
}

/* ---- where a path leads ---- */

static void beneath_the_directory(void **state)
{
  static const char *const names[] = {"in/x",   "in/a/x",           "in/a/../y", "in//a///z",
                                      "in/./w", "in/within/v",      "linked/u",  "beside/../in/t",
                                      "in/...", "in/a b\nc\033[2J", "in/\xff"};
  (void)state;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    assert_int_equal(output_check(files_path(names[i])), 0);
    assert_int_equal(write_whole(files_path(names[i]), names[i]), 0);
    assert_text(files_path(names[i]), names[i]);
    assert_int_equal(output_remove(files_path(names[i])), 0);
    assert_false(files_exist(files_path(names[i])));
  }
  assert_int_equal(output_mkdir(files_path("in/.../..../new")), 0);
  assert_true(files_exist(files_path("in/.../..../new")));
  assert_int_equal(write_whole(files_path("in/none/x"), ""), ENOENT);
  outside_is_as_it_was();
}

static void elsewhere(void **state)
{
  static const char *const names[] = {
      "x",          "in",         "in/",           "in/.",         "in/a/..",         "in/../x",
      "beside/new", "in/out/new", "in/out/victim", "in/a/../../x", "in/none/../../x", "inside",
      "linked",     "in/loop/x",  "in/nothing/x",  "in/out/../x"};
  (void)state;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const char *path = files_path(names[i]);
    int fd;
    assert_int_equal(output_check(path), OUTSIDE);
    assert_int_equal(output_check_name(path), OUTSIDE);
    assert_int_equal(write_whole(path, "x"), OUTSIDE);
    assert_int_equal(output_open(path, O_WRONLY | O_CREAT | O_TRUNC, &fd), OUTSIDE);
    assert_int_equal(output_remove(path), OUTSIDE);
    assert_int_equal(write_whole(files_path("in/mine"), "mine"), 0);
    assert_int_equal(output_rename(files_path("in/mine"), path), OUTSIDE);
    assert_int_equal(output_rename(path, files_path("in/a/stolen")), OUTSIDE);
  }
  assert_int_equal(write_whole("/dev/null", "x"), OUTSIDE);
  assert_int_equal(write_whole("", "x"), OUTSIDE);
  assert_int_equal(output_mkdir(files_path("in/out/new")), OUTSIDE);
  assert_int_equal(output_mkdir(files_path("new")), OUTSIDE);
  outside_is_as_it_was();
}

static void links_are_names(void **state)
{
  static const char *const names[] = {"in/file", "in/nothing", "in/loop", "in/out"};
  (void)state;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    int fd, error = output_open(files_path(names[i]), O_WRONLY | O_CREAT, &fd);
    assert_int_equal(error, ELOOP);
    assert_int_equal(write_whole(files_path(names[i]), "x"), ELOOP);
    assert_int_equal(output_check(files_path(names[i])), ELOOP);
    assert_int_equal(output_rename(files_path(names[i]), files_path("in/moved")), 0);
    assert_int_equal(output_remove(files_path("in/moved")), 0);
  }
  outside_is_as_it_was();
}

static void long_names(void **state)
{
  char name[NAME_ROOM + 10] = "in/", deep[2 * PATH_MAX];
  (void)state;
  memset(name + 3, 'x', 255);
  assert_int_equal(write_whole(files_path(name), "long"), 0);
  assert_text(files_path(name), "long");
  name[258] = 'x';
  assert_int_equal(write_whole(files_path(name), "longer"), ENAMETOOLONG);
  assert_int_equal(output_mkdir(files_path(name)), ENAMETOOLONG);
  memset(deep, 'y', sizeof deep - 1);
  deep[sizeof deep - 1] = 0;
  assert_int_equal(write_whole(deep, ""), ENAMETOOLONG);
  assert_int_equal(output_mkdir(deep), ENAMETOOLONG);
  assert_int_equal(output_limit(deep), EINVAL);
}

static void only_files_are_replaced(void **state)
{
  (void)state;
  assert_int_equal(mkfifo(files_path("in/pipe"), 0666), 0);
  assert_int_equal(write_whole(files_path("in/pipe"), "x"), EEXIST);
  assert_int_equal(write_whole(files_path("in/a"), "x"), EISDIR);
  assert_int_equal(write_whole(files_path("in/x"), "x"), 0);
  assert_int_equal(output_rename(files_path("in/x"), files_path("in/pipe")), EEXIST);
  assert_int_equal(output_rename(files_path("in/x"), files_path("in/a")), EISDIR);
  assert_int_equal(output_remove(files_path("in/a")), 0);
}

/* ---- the directory itself ---- */

static void the_directory_is_made_when_it_is_needed(void **state)
{
  (void)state;
  assert_int_equal(output_limit(files_path("new/er")), 0);
  assert_false(files_exist(files_path("new")));
  assert_int_equal(output_check(files_path("x")), OUTSIDE);
  assert_false(files_exist(files_path("new")));
  assert_int_equal(write_whole(files_path("new/er/x"), "x"), 0);
  assert_text(files_path("new/er/x"), "x");
}

static void a_link_to_the_directory(void **state)
{
  (void)state;
  assert_int_equal(output_limit(files_path("linked")), 0);
  assert_int_equal(write_whole(files_path("linked/x"), "x"), 0);
  assert_text(files_path("in/x"), "x");
  assert_int_equal(output_rename(files_path("linked/x"), files_path("linked")), OUTSIDE);
  assert_int_equal(output_remove(files_path("linked")), OUTSIDE);
  assert_int_equal(output_limit(files_path("in/nothing")), EINVAL); /* it may come to lead anywhere */
  assert_int_equal(output_limit(files_path("in/loop")), EINVAL);
  assert_int_equal(output_limit(""), EINVAL);
}

static void the_directory_is_taken_away(void **state)
{
  (void)state;
  assert_int_equal(write_whole(files_path("in/a/x"), "x"), 0);
  assert_int_equal(rename(files_path("in"), files_path("gone")), 0);
  assert_int_equal(symlink("beside", files_path("in")), 0); /* what stands there now is another one */
  assert_int_equal(write_whole(files_path("in/y"), "y"), OUTSIDE);
  assert_int_equal(unlink(files_path("in")), 0);
  assert_int_equal(mkdir(files_path("in"), 0777), 0);
  assert_int_equal(write_whole(files_path("in/y"), "y"), 0);
  assert_text(files_path("gone/y"), "y"); /* the directory that it was told of */
  outside_is_as_it_was();
}

/* ---- others at the same time ---- */

static double seconds(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void end(pid_t child)
{
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
}

/* in/l/d and in/m/d change places all the time; one is a directory, the other leads out. */
static void a_path_is_bent_while_it_is_used(void **state)
{
  int written = 0;
  (void)state;
  mkdir(files_path("in/l"), 0777), mkdir(files_path("in/m"), 0777), mkdir(files_path("in/m/d"), 0777);
  assert_int_equal(symlink("../../beside", files_path("in/l/d")), 0);
  char l[PATH_MAX], m[PATH_MAX], t[PATH_MAX];
  strcpy(l, files_path("in/l")), strcpy(m, files_path("in/m")), strcpy(t, files_path("in/t"));
  pid_t child = fork();
  while (child == 0) rename(l, t), rename(m, l), rename(t, m);
  for (double start = seconds(); seconds() - start < 1;) {
    int fd, error = output_open(files_path("in/l/d/new"), O_WRONLY | O_CREAT, &fd);
    assert_true(error == 0 || error == OUTSIDE || error == ENOENT);
    if (error == 0) close(fd), written++;
    error = write_whole(files_path("in/l/d/other"), "x");
    assert_true(error == 0 || error == OUTSIDE || error == ENOENT);
    output_mkdir(files_path("in/l/d/sub"));
    output_remove(files_path("in/l/d/victim"));
    output_rename(files_path("in/l/d/other"), files_path("in/l/d/another"));
    output_rename(files_path("in/l/d/victim"), files_path("in/stolen"));
  }
  end(child);
  assert_true(written > 0);
  outside_is_as_it_was();
}

/* A text of one letter, long enough for several writes. */
static int write_letters(const char *path, char letter)
{
  char text[100000];
  memset(text, letter, sizeof text - 1);
  text[sizeof text - 1] = 0;
  return write_whole(path, text);
}

static void many_write_one_file(void **state)
{
  enum { WRITERS = 4 };
  pid_t child[WRITERS];
  (void)state;
  assert_int_equal(write_letters(files_path("in/x"), 'z'), 0);
  for (int i = 0; i < WRITERS; i++) {
    child[i] = fork();
    double start = seconds();
    while (child[i] == 0) {
      if (i == 0) output_sweep(files_path("in"));
      else if (write_letters(files_path("in/x"), (char)('a' + i))) _exit(1);
      if (seconds() - start > 1) _exit(0);
    }
  }
  for (double start = seconds(); seconds() - start < 1;) {
    size_t n;
    unsigned char *text = files_read(files_path("in/x"), &n);
    assert_int_equal(n, 99999);
    for (size_t i = 1; i < n; i++)
      if (text[i] != text[0]) fail_msg("half a file");
    free(text);
  }
  for (int i = 0; i < WRITERS; i++) {
    int status;
    waitpid(child[i], &status, 0);
    assert_int_equal(status, 0); /* no writer failed, whatever was swept */
  }
  assert_int_equal(output_remove(files_path("in/x")), 0);
  assert_int_equal(output_remove(files_path("in/a")), 0);
  for (const char **name = (const char *[]){"out", "file", "nothing", "within", "loop", NULL}; *name; name++) {
    char path[100];
    snprintf(path, sizeof path, "in/%s", *name);
    assert_int_equal(unlink(files_path(path)), 0);
  }
  assert_int_equal(rmdir(files_path("in")), 0); /* nothing is left in it */
}

static void the_dead_are_swept(void **state)
{
  Output alive, dead;
  int ready[2];
  char byte;
  (void)state;
  assert_int_equal(output_begin(&alive, files_path("in/a/x")), 0);
  assert_int_equal(pipe(ready), 0);
  pid_t child = fork();
  if (child == 0) {
    fclose(alive.file); /* the lock is its parent's, too */
    output_begin(&dead, files_path("in/a/y"));
    if (write(ready[1], dead.temporary, 1) < 0) _exit(1);
    for (;;) pause();
  }
  assert_int_equal(read(ready[0], &byte, 1), 1);
  output_sweep(files_path("in/a"));
  end(child);
  close(ready[0]), close(ready[1]);
  files_write(files_path("in/a/.mine.tmp"), "", 0);
  files_write(files_path("in/a/.x.0123456789.tmp"), "", 0);
  files_write(files_path("in/a/.tmp"), "", 0);
  output_sweep(files_path("in/a"));
  output_sweep(files_path("in/none"));
  assert_int_equal(output_remove(files_path("in/a/.mine.tmp")), 0);
  assert_int_equal(output_remove(files_path("in/a/.x.0123456789.tmp")), 0);
  assert_int_equal(output_remove(files_path("in/a/.tmp")), 0);
  fputs("alive", alive.file);
  assert_int_equal(output_commit(&alive), 0);
  assert_text(files_path("in/a/x"), "alive");
  assert_int_equal(output_remove(files_path("in/a/x")), 0);
  assert_int_equal(output_remove(files_path("in/a")), 0); /* nothing else was there */
}

static void what_cannot_be_finished_leaves_nothing(void **state)
{
  Output o;
  (void)state;
  assert_int_equal(output_begin(&o, files_path("in/a/x")), 0);
  output_abandon(&o);
  assert_int_equal(output_begin(&o, files_path("in/a/x")), 0);
  assert_int_equal(mkdir(files_path("in/a/x"), 0777), 0);
  assert_int_equal(output_commit(&o), EISDIR);
  assert_int_equal(rmdir(files_path("in/a/x")), 0);
  assert_int_equal(rmdir(files_path("in/a")), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_places, close_places)
  const struct CMUnitTest tests[] = {
      TEST(beneath_the_directory),
      TEST(elsewhere),
      TEST(links_are_names),
      TEST(long_names),
      TEST(only_files_are_replaced),
      TEST(the_directory_is_made_when_it_is_needed),
      TEST(a_link_to_the_directory),
      TEST(the_directory_is_taken_away),
      TEST(a_path_is_bent_while_it_is_used),
      TEST(many_write_one_file),
      TEST(the_dead_are_swept),
      TEST(what_cannot_be_finished_leaves_nothing),
  };
  return cmocka_run_group_tests(tests, files_setup, files_teardown);
}

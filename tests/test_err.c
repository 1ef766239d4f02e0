/* Errors: one boundary, and a handler for what is outside of it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"

#include "engine/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void fail_with(void *arg) { rwkv_fail("%s is %d, expected %d", (const char *)arg, 3, 4); }
static void come_back(void *arg) { *(int *)arg += 1; }

static void protect_gives_the_message_or_null(void **state)
{
  (void)state;
  int runs = 0;
  assert_null(rwkv_protect(come_back, &runs));
  assert_int_equal(runs, 1);
  assert_string_equal(rwkv_protect(fail_with, "lr"), "lr is 3, expected 4");
  assert_null(rwkv_protect(come_back, &runs));
}

static void nested(void *arg)
{
  const char **inner = arg;
  *inner = rwkv_protect(fail_with, "inner");
  rwkv_fail("outer after (%s)", *inner); /* the argument lies in the message that is being written */
}

static void protect_nests_and_messages_may_quote_messages(void **state)
{
  (void)state;
  const char *inner = NULL;
  assert_string_equal(rwkv_protect(nested, &inner), "outer after (inner is 3, expected 4)");
  assert_non_null(inner);
}

static void fail_with_a_long_message(void *arg) { rwkv_fail("%s!", (const char *)arg); }

static void long_messages_are_cut(void **state)
{
  (void)state;
  char *text = malloc(5001);
  memset(text, 'x', 5000);
  text[5000] = 0;
  const char *message = rwkv_protect(fail_with_a_long_message, text);
  assert_true(strlen(message) > 200 && strlen(message) < 5000);
  assert_true(strspn(message, "x") == strlen(message));
  free(text);
}

static jmp_buf handled;
static char heard[100];

static void hear(const char *message)
{
  snprintf(heard, sizeof heard, "%s", message);
  longjmp(handled, 1);
}

static void the_handler_hears_what_is_unprotected(void **state)
{
  (void)state;
  rwkv_on_fail(hear);
  heard[0] = 0;
  rwkv_protect(fail_with, "protected");
  assert_string_equal(heard, "");
  if (setjmp(handled) == 0) fail_with("open");
  assert_string_equal(heard, "open is 3, expected 4");
  unprotected_failures_fail_the_test();
}

/* Runs fn with no handler in a process of its own; its exit status, and what it wrote to stderr. */
static int in_a_child(void (*fn)(void *), void *arg, char *text, size_t size)
{
  int ends[2], status = 0;
  assert_int_equal(pipe(ends), 0);
  pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    rwkv_on_fail(NULL);
    fn(arg);
    _exit(0);
  }
  close(ends[1]);
  ssize_t n = read(ends[0], text, size - 1);
  text[n > 0 ? n : 0] = 0;
  close(ends[0]);
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void without_a_handler_the_program_ends(void **state)
{
  (void)state;
  char text[200];
  assert_int_equal(in_a_child(fail_with, "lr", text, sizeof text), 1);
  assert_string_equal(text, "aviary: lr is 3, expected 4\n");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(protect_gives_the_message_or_null),
      cmocka_unit_test(protect_nests_and_messages_may_quote_messages),
      cmocka_unit_test(long_messages_are_cut),
      cmocka_unit_test(the_handler_hears_what_is_unprotected),
      cmocka_unit_test(without_a_handler_the_program_ends),
  };
  return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}

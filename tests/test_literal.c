/* Literals of Python: each form, and each fault. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "text/literal.h"

#include <string.h>

static void every_form(void **state)
{
  static const struct {
    const char *literal, *bytes;
    size_t n;
  } cases[] = {
      {"''", "", 0},
      {"'a'", "a", 1},
      {"\"it's\"", "it's", 4},
      {"'say \"hi\"'", "say \"hi\"", 8},
      {"'it\\'s'", "it's", 4},
      {"\"\\\"\"", "\"", 1},
      {"'\\n\\t\\r\\\\\\a\\b\\f\\v'", "\n\t\r\\\a\b\f\v", 8},
      {"'\\x00\\x7f\\x80\\xff'", "\0\x7f\xc2\x80\xc3\xbf", 6},
      {"b'\\x00\\x7f\\x80\\xff'", "\0\x7f\x80\xff", 4},
      {"B\"\\xC3\"", "\xc3", 1},
      {"'\\u00e9\\ue000\\uFFFF'", "\xc3\xa9\xee\x80\x80\xef\xbf\xbf", 8},
      {"'\\U0001f600\\U0010FFFF'", "\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf", 8},
      {"'\\0\\12\\1010\\777'", "\0\nA0\xc7\xbf", 6},
      {"b'\\377\\08'",
       "\xff\0"
       "8",
       3},
      {"'\xc3\xa9\xf0\x9f\x98\x80'", "\xc3\xa9\xf0\x9f\x98\x80", 6},
      {"' '", " ", 1},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    unsigned char out[64];
    size_t n = 99;
    assert_null(literal_read(cases[i].literal, strlen(cases[i].literal), out, &n));
    assert_int_equal(n, cases[i].n);
    assert_memory_equal(out, cases[i].bytes, n);
  }
}

static void every_fault(void **state)
{
  static const char *const cases[] = {"",
                                      "'",
                                      "b",
                                      "b'",
                                      "a",
                                      "'a",
                                      "a'",
                                      "'a\"",
                                      "r'a'",
                                      "'''",
                                      "'a'b'",
                                      "'\\",
                                      "'\\'",
                                      "'\\x1'",
                                      "'\\xg0'",
                                      "'\\u12 4'",
                                      "'\\N{A}'",
                                      "'\\8'",
                                      "b'\\u0041'",
                                      "b'\\400'",
                                      "'\\ud83d'",
                                      "'\\udfff'",
                                      "'\\U00110000'",
                                      "'\\Uffffffff'",
                                      "'\xff'",
                                      "'\xc3'",
                                      "b'\xc3\xa9'"};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    unsigned char out[64];
    size_t n;
    assert_non_null(literal_read(cases[i], strlen(cases[i]), out, &n));
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_form),
      cmocka_unit_test(every_fault),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

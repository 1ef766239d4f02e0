/* Pickles: what no file of tensors needs is refused, and none takes more memory or time than its size allows. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"
#include "engine/err.h"
#include "file_calls.h"
#include "files.h"
#include "pickles.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(pickle) pickle, sizeof(pickle) - 1

static const char *file_of(const char *pickle, size_t n) { return pickle_file(pickle, n, "m/", "", ""); }

static void opens(const char *pickle, size_t n, int tensors)
{
  TensorFile *f = file_open(file_of(pickle, n));
  assert_int_equal(file_count(f), tensors);
  file_close(f);
}

/* Every opcode but these has no place in the files of tensors. */
static void opcodes_that_are_known(void **state)
{
  (void)state;
  static const char known[] = "\x80\x95.(012NG\x88\x89JKM\x8a\x8bX\x8c\x8dTUBC\x8e\x96)]}\x8ft\x85\x86\x87"
                              "aesu\x90\x91"
                              "c\x93R\x81"
                              "bQhjqr\x94";
  for (int code = 0; code < 256; code++) {
    char pickle[] = PICKLE("} "), says[40];
    pickle[3] = (char)code;
    snprintf(says, sizeof says, "opcode 0x%02x", code);
    FileCall c = {.path = file_of(pickle, sizeof pickle - 1)};
    const char *message = rwkv_protect(file_call_open, &c);
    bool refused = message && strstr(message, says);
    if (!message) file_close(c.file);
    if (refused == (code != 0 && strchr(known, code) != NULL)) fail_msg("opcode 0x%02x: %s", code, message);
  }
}

/* What other protocols write for the same. */
static void protocols(void **state)
{
  (void)state;
  opens(TEXT(PICKLE("}")), 0);
  opens(TEXT(PICKLE("(t")), 0); /* nothing was ever on the stack */
  opens(TEXT("\x80\4\x95\1\0\0\0\0\0\0\0}\x94."), 0);
  opens(TEXT("\x80\5}(\x8c\1a" SIX "\x8d\1\0\0\0\0\0\0\0b" SIX "u."), 2);
  opens(TEXT(PICKLE("}(U\1a" SIX "T\1\0\0\0b" SIX "u")), 2);
  opens(TEXT(PICKLE("}q\0" KEY("a") SIX "r\1\0\0\0sh\0" KEY("b") "j\1\0\0\0s0")), 2);
  opens(TEXT("\x80\4}\x94" KEY("a") SIX "\x94sh\0" KEY("b") "h\1s0."), 2);
  opens(TEXT(PICKLE("]" SIX "a(" SIX SIX "e")), 3);
  opens(TEXT(PICKLE("](" SIX SIX "1" SIX "a")), 1);
  opens(TEXT(PICKLE("](0" SIX "2"
                    "0"
                    "a")),
        1);
  opens(TEXT(PICKLE(SIX SIX "\x86")), 2);
  opens(TEXT(PICKLE("}(" KEY("a") "\x8f(K\1K\2\x90" KEY("b") "(K\1\x91" KEY("c") "B\2\0\0\0xyC\1x\x8e\1\0\0\0\0\0\0\0x"
                                                                                 "\x96\1\0\0\0\0\0\0\0x"
                                                                                 "000" KEY("d") "\x8a\0" KEY(
                                                                                     "e") "\x8b\2\0\0\0\1\2u")),
        0);
}

static const struct {
  const char *pickle;
  size_t n;
  const char *says;
} wrong[] = {
    {TEXT(""), "protocol 0 or 1"},
    {TEXT("(dp0\n."), "protocol 0 or 1"},
    {TEXT("\x80\6}."), "expected 2 to 5"},
    {TEXT("\x80\2"), "ends within an opcode, at byte 2 of 2"},
    {TEXT("\x80\2}"), "ends within an opcode"},
    {TEXT(PICKLE("X\xff\xff\xff\xff")), "ends within an opcode"},
    {TEXT(PICKLE("\x8d\xff\xff\xff\xff\xff\xff\xff\xff")), "ends within an opcode"},
    {TEXT(PICKLE("B\xff\xff\xff\x7f")), "ends within an opcode"},
    {TEXT(PICKLE("\x8b\xff\xff\xff\xff")), "ends within an opcode"},
    {TEXT(PICKLE("cos")), "ends within an opcode"},
    {TEXT(PICKLE("cos\nsystem")), "ends within an opcode"},
    {TEXT(PICKLE("")), "something else than one value"},
    {TEXT(PICKLE("}}")), "something else than one value"},
    {TEXT(PICKLE("}(")), "something else than one value"},
    {TEXT(PICKLE("0")), "takes from an empty stack"},
    {TEXT(PICKLE("}(a")), "takes from an empty stack"},
    {TEXT(PICKLE("(K\1(s")), "takes from an empty stack"},
    {TEXT(PICKLE("K\1\x86")), "takes from an empty stack"},
    {TEXT(PICKLE("1")), "mark that is not there"},
    {TEXT(PICKLE("t")), "mark that is not there"},
    {TEXT(PICKLE("}u")), "mark that is not there"},
    {TEXT(PICKLE("}(K\1u")), "a key without a value"},
    {TEXT(PICKLE("]K\1K\2s")), "something that holds none"},
    {TEXT(PICKLE("K\1K\2a")), "something that holds none"},
    {TEXT(PICKLE("(u")), "takes from an empty stack"},
    {TEXT(PICKLE("](K\2\x90")), "no set"},
    {TEXT(PICKLE("h\0")), "remembers what was never kept"},
    {TEXT(PICKLE("j\xff\xff\xff\xff")), "remembers what was never kept"},
    {TEXT(PICKLE("}r\xff\xff\xff\xff")), "keeps more values than it has bytes"},
    {TEXT(PICKLE("K\1)R")), "no global"},
    {TEXT(PICKLE(GLOBAL("torch", "Size") "K\1R")), "no global"},
    {TEXT(PICKLE("K\1K\2\x93")), "by what is no text"},
    {TEXT(PICKLE("}q\0K\1h\0s")), "again and again"},
    {TEXT(PICKLE("]q\0h\0a")), "again and again"},
};

static void what_is_wrong(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    open_must_fail(file_of(wrong[i].pickle, wrong[i].n), wrong[i].says);
}

/* ---- bombs: at most so much memory for each byte ---- */

static void bomb(const char *head, const char *again, size_t times, const char *tail, size_t tail_length,
                 const char *says)
{
  size_t h = strlen(head), a = strlen(again), n = 2 + h + a * times + tail_length;
  char *pickle = malloc(n);
  memcpy(pickle, "\x80\2", 2);
  memcpy(pickle + 2, head, h);
  for (size_t i = 0; i < times; i++) memcpy(pickle + 2 + h + i * a, again, a);
  memcpy(pickle + n - tail_length, tail, tail_length);
  const char *path = file_of(pickle, n);
  size_t before = memory_used();
  memory_limit(before + (16u << 20) + 300 * n, "the test");
  open_must_fail(path, says);
  memory_limit(0, NULL);
  assert_int_equal(memory_used(), before);
  free(pickle);
}

static void bombs(void **state)
{
  (void)state;
  bomb("", "(", 40000, ".", 1, "something else");
  bomb("", "]", 40000, ".", 1, "something else");
  bomb("", "]", 40000, "\x85.", 2, "something else");
  bomb("]", "2", 40000, ".", 1, "something else");
  bomb("", ")\x85", 20000, ".", 1, "something else");
  bomb(")", "\x85", 40000, ".", 1, "within each other");
  bomb("](", "K\1", 20000, "e2a.", 4, "within each other"); /* itself within itself */
  bomb(")", "22\x87", 55, ".", 1, "again and again");       /* 3^55 values */
  bomb(")", "2\x86", 55, ".", 1, "again and again");
}

#define TEST(name) cmocka_unit_test_setup(name, files_clear)

int main(void)
{
  const struct CMUnitTest tests[] = {TEST(opcodes_that_are_known), TEST(protocols), TEST(what_is_wrong), TEST(bombs)};
  return cmocka_run_group_tests(tests, files_setup, files_teardown);
}

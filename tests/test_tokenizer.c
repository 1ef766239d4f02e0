/* Tokenizers: a text in parts gives the ids of the whole, and nothing is left in memory, whatever a file looks like. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"
#include "engine/err.h"
#include "engine/rng.h"
#include "files.h"
#include "text/nfc.h"
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

static const char *const vocabularies[] = {"tests/text/world.txt", "tests/text/bpe.json", "bytes"};

/* Bytes with much of what tokens and words begin and end with. */
static size_t random_text(Rng *rng, unsigned char *out, size_t n)
{
  static const char *const pieces[] = {" ",
                                       "\n",
                                       "the",
                                       " state",
                                       "'s",
                                       "  ",
                                       "\xc3\xa9",
                                       "e\xcc\x81\xcc\xa3",
                                       "\xea\xb0\x80\xe1\x86\xa8",
                                       "1",
                                       "<|endoftext|>",
                                       "\xff",
                                       "\xe6\x97",
                                       "!",
                                       "\xf0\x9f\x98\x80",
                                       "\t"};
  size_t used = 0;
  while (used + 16 < n) {
    const char *piece = pieces[rng_below(rng, sizeof pieces / sizeof *pieces)];
    memcpy(out + used, piece, strlen(piece));
    used += strlen(piece);
  }
  return used;
}

static bool in_parts(Tokenizer *t, Rng *rng, const unsigned char *text, size_t n, const Ids *whole)
{
  Ids parts = {0};
  size_t at = 0, end = 0;
  while (end < n) {
    end += 1 + (size_t)rng_below(rng, 30);
    if (end > n) end = n;
    at += tokenizer_encode(t, text + at, end - at, true, &parts);
    assert_true(at <= end);
  }
  assert_int_equal(tokenizer_encode(t, text + at, n - at, false, &parts), n - at);
  bool same = parts.n == whole->n && (parts.n == 0 || memcmp(parts.id, whole->id, parts.n * sizeof *parts.id) == 0);
  ids_release(&parts);
  return same;
}

static void cut_anywhere(void **state)
{
  unsigned char text[600];
  Rng rng = rng_new(5, 0);
  (void)state;
  for (int v = 0; v < 3; v++) {
    size_t before = memory_used();
    Tokenizer *t = tokenizer_open(vocabularies[v]);
    for (int round = 0; round < 300; round++) {
      Ids whole = {0};
      size_t n = random_text(&rng, text, sizeof text);
      assert_int_equal(tokenizer_encode(t, text, n, false, &whole), n);
      assert_true(in_parts(t, &rng, text, n, &whole));
      ids_release(&whole);
    }
    tokenizer_close(t);
    assert_int_equal(memory_used(), before);
  }
}

static void open_and_close(void *path) { tokenizer_close(tokenizer_open(path)); }

/* Files with a piece missing, or a byte changed: opened or refused, never kept in memory. */
static void damaged(void **state)
{
  Rng rng = rng_new(6, 0);
  (void)state;
  for (int v = 0; v < 2; v++) {
    size_t n;
    unsigned char *bytes = files_read(vocabularies[v], &n);
    for (int round = 0; round < 300; round++) {
      size_t at = (size_t)rng_below(&rng, n), before = memory_used();
      unsigned char was = bytes[at];
      bytes[at] = (unsigned char)rng_below(&rng, 256);
      files_write(files_path("damaged"), bytes, round % 2 ? n : (size_t)rng_below(&rng, n));
      bytes[at] = was;
      rwkv_protect(open_and_close, (void *)files_path("damaged"));
      assert_int_equal(memory_used(), before);
    }
    free(bytes);
  }
}

static void canonical_composition(void **state)
{
  static const char *const cases[][2] = {
      {"abc", "abc"},
      {"e\xcc\x81", "\xc3\xa9"}, /* e U+0301: U+00E9 */
      {"xe\xcc\x81y", "x\xc3\xa9y"},
      {"q\xcc\x87\xcc\xa3", "q\xcc\xa3\xcc\x87"},               /* U+0307 U+0323: by class */
      {"\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab", "\xed\x95\x9c"}, /* U+1112 U+1161 U+11AB: U+D55C */
      {"\xe2\x84\xab", "\xc3\x85"},                             /* U+212B: U+00C5 */
      {"\xe0\xa5\x98", "\xe0\xa4\x95\xe0\xa4\xbc"},             /* U+0958: excluded from composition */
      {"\xef\xaa\x84"
       "d",
       "\xe5\xbd\xa9"
       "d"},                                              /* U+FA84: another ideograph */
      {"a\xe0\xa2\x98\xcc\x81", "a\xe0\xa2\x98\xcc\x81"}, /* U+0898: a mark since Unicode 14 */
      {"\xcc\x81", "\xcc\x81"},
  };
  Nfc f = {0};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    size_t n = strlen(cases[i][0]);
    const unsigned char *out = nfc_text(&f, (const unsigned char *)cases[i][0], &n);
    assert_int_equal(n, strlen(cases[i][1]));
    assert_memory_equal(out, cases[i][1], n);
  }
  nfc_release(&f);
}

#define TEST(name) cmocka_unit_test_setup(name, files_clear)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(cut_anywhere),
      TEST(damaged),
      TEST(canonical_composition),
  };
  return cmocka_run_group_tests(tests, files_setup, files_teardown);
}

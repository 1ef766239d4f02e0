#include "words.h"

#include "../engine/err.h"
#include "unicode.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

struct Words {
  pcre2_general_context *memory;
  pcre2_code *pattern;
  pcre2_match_data *match;
};

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ with \s as Unicode's White_Space (PCRE2's
   own takes U+180E, too), and without ways back that lead nowhere. */
#define SPACE "\\x09-\\x0d\\x20\\x85\\xa0\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
#define LETTER "\\p{L}" LATER_LETTERS
#define NUMBER "\\p{N}" LATER_NUMBERS
static const char pattern[] = "'(?:[stmd]|re|ve|ll)| ?+[" LETTER "]++| ?+[" NUMBER "]++| ?+[^" SPACE LETTER NUMBER "]++"
                              "|[" SPACE "]+(?![^" SPACE "])|[" SPACE "]++";

static void *take(size_t bytes, void *none)
{
  (void)none;
  return rwkv_try_alloc(1, bytes);
}

static void give(void *p, void *none)
{
  (void)none;
  if (p) rwkv_release(p);
}

Words *words_open(void)
{
  int error;
  PCRE2_SIZE at;
  Words *w = rwkv_alloc(1, sizeof *w, "a tokenizer");
  w->memory = pcre2_general_context_create(take, give, NULL);
  pcre2_compile_context *c = w->memory ? pcre2_compile_context_create(w->memory) : NULL;
  if (c)
    w->pattern = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_ANCHORED, &error, &at, c);
  pcre2_compile_context_free(c);
  if (w->pattern) w->match = pcre2_match_data_create_from_pattern(w->pattern, w->memory);
  if (!w->match) words_close(w), rwkv_fail("out of memory: a tokenizer");
  pcre2_jit_compile(w->pattern, PCRE2_JIT_COMPLETE); /* where the machine lets it; otherwise it is slower */
  return w;
}

void words_close(Words *w)
{
  if (!w) return;
  pcre2_match_data_free(w->match);
  pcre2_code_free(w->pattern);
  pcre2_general_context_free(w->memory);
  rwkv_release(w);
}

size_t words_next(Words *w, const unsigned char *text, size_t n)
{
  int found = pcre2_match(w->pattern, text, n, 0, PCRE2_NO_UTF_CHECK, w->match, NULL);
  if (found < 0) rwkv_fail("PCRE2: a text of %zu bytes could not be cut into words (error %d)", n, found);
  return pcre2_get_ovector_pointer(w->match)[1];
}

#include "bpe.h"

#include "../engine/err.h"
#include "utf8.h"

static void encode_words(Bpe *b, const unsigned char *text, size_t n, Ids *out)
{
  for (size_t length; n > 0; text += length, n -= length) {
    length = words_next(b->words, text, n);
    bpe_word(b, text, length, out);
  }
}

/* Takes the added tokens of a trie out of the text, the leftmost first, of several the longest, and hands on what is
   between them. */
static void take_out(Bpe *b, const DoubleArray *added, const unsigned char *text, size_t n, Ids *out,
                     void (*hand_on)(Bpe *, const unsigned char *, size_t, Ids *))
{
  size_t from = 0, length;
  for (size_t at = 0; added->longest && at < n; at += length) {
    int id;
    length = double_array_longest(added, text + at, n - at, &id);
    if (!length) {
      length = 1;
      continue;
    }
    hand_on(b, text + from, at - from, out);
    ids_put(out, id);
    from = at + length;
  }
  hand_on(b, text + from, n - from, out);
}

static void encode_normalised(Bpe *b, const unsigned char *text, size_t n, Ids *out)
{
  if (b->normalise) text = nfc_text(&b->nfc, text, &n);
  take_out(b, &b->normal, text, n, out, encode_words);
}

/* Cuts the text at what is no UTF-8. */
static void encode_valid(Bpe *b, const unsigned char *text, size_t n, Ids *out)
{
  size_t from = 0, length;
  int32_t code;
  for (size_t at = 0; at < n; at += length) {
    length = text[at] < 0x80 ? 1 : utf8_read(text + at, n - at, &code);
    if (length) continue;
    take_out(b, &b->raw, text + from, at - from, out, encode_normalised);
    bpe_word(b, text + at, 1, out);
    from = at + (length = 1);
  }
  take_out(b, &b->raw, text + from, n - from, out, encode_normalised);
}

/* Before a space or a new line behind a printed ASCII character a word ends and another begins, NFC changes nothing
   across it, and no added token stands across it, or `whole` is set. */
static bool is_cut(const unsigned char *at) { return (*at == ' ' || *at == '\n') && at[-1] > ' ' && at[-1] < 0x7f; }

size_t bpe_encode(Bpe *b, const unsigned char *text, size_t n, bool more, Ids *out)
{
  enum { PART = 1 << 16 };
  if (more && b->whole) return 0;
  if (more && n) n--;
  while (more && n > 0 && !is_cut(text + n)) n--;
  for (size_t at = 0, end; at < n; at = end) {
    end = !b->whole && n - at > PART ? at + PART : n;
    while (end < n && !is_cut(text + end)) end++;
    rwkv_poll();
    encode_valid(b, text + at, end - at, out);
  }
  return n;
}

void bpe_close(Bpe *b)
{
  if (!b) return;
  table_release(&b->merges);
  double_array_release(&b->raw);
  double_array_release(&b->normal);
  nfc_release(&b->nfc);
  words_close(b->words);
  void *const blocks[] = {b->merged, b->cache, b->symbols, b->heap};
  for (int i = 0; i < 4; i++)
    if (blocks[i]) rwkv_release(blocks[i]);
  rwkv_release(b);
}

#include "vocabulary.h"

#include "../engine/err.h"

#include <stdio.h>
#include <string.h>

void vocabulary_open(Vocabulary *v) { trie_open(&v->trie); }

static const char *problem(const char *format, int a, int b)
{
  static char text[120];
  snprintf(text, sizeof text, format, a, b);
  return text;
}

const char *vocabulary_put(Vocabulary *v, int id, const unsigned char *bytes, size_t n)
{
  if (id < 0 || id >= VOCABULARY_MAX) return problem("id %d, expected 0 to %d", id, VOCABULARY_MAX - 1);
  if (n == 0) return problem("token %d has no bytes", id, 0);
  size_t size = (size_t)id + 1;
  if (v->size < size) {
    v->token = buffer_grow(v->token, &v->token_room, size, sizeof *v->token, "a vocabulary");
    v->size = size;
  }
  if (v->token[id].n) return problem("id %d stands there twice", id, 0);
  v->bytes = buffer_grow(v->bytes, &v->byte_room, v->used + n, 1, "a vocabulary");
  memcpy(v->bytes + v->used, bytes, n);
  v->token[id] = (struct TokenBytes){v->used, n};
  v->used += n;
  return NULL;
}

const char *vocabulary_add(Vocabulary *v, int id, const unsigned char *bytes, size_t n)
{
  const char *wrong = vocabulary_put(v, id, bytes, n);
  int other = wrong ? id : trie_add(&v->trie, bytes, n, id);
  if (other < 0) return "the vocabulary is too large";
  return other == id ? wrong : problem("token %d has the bytes of token %d", id, other);
}

void vocabulary_finish(Vocabulary *v, const char *path)
{
  if (v->trie.longest) double_array_build(&v->array, &v->trie, path);
  trie_release(&v->trie);
}

void vocabulary_release(Vocabulary *v)
{
  trie_release(&v->trie);
  double_array_release(&v->array);
  if (v->token) rwkv_release(v->token);
  if (v->bytes) rwkv_release(v->bytes);
  *v = (Vocabulary){0};
}

const unsigned char *vocabulary_bytes(const Vocabulary *v, int id, size_t *n)
{
  *n = v->token[id].n;
  return v->bytes + v->token[id].from;
}

size_t vocabulary_encode(const Vocabulary *v, const char *path, const unsigned char *text, size_t n, bool more,
                         Ids *out)
{
  enum { OFTEN = 1 << 16 };
  size_t at = 0, asked = 0, enough = more ? v->array.longest : 1;
  while (n - at >= enough && at < n) {
    int id;
    size_t length = double_array_longest(&v->array, text + at, n - at, &id);
    if (!length) rwkv_fail("%s: no token begins with the byte 0x%02x of the text", path, text[at]);
    ids_put(out, id);
    at += length;
    if (at - asked >= OFTEN) rwkv_poll(), asked = at;
  }
  return at;
}

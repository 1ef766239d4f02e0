/* Vocabularies of Hugging Face's tokenizers: tokenizer.json with a byte-level BPE. What it says and we do not do is an
   error: ids would differ. */
#include "bpe.h"
#include "kinds.h"

#include "../engine/err.h"
#include "utf8.h"

#include <cjson/cJSON.h>
#include <string.h>

typedef struct {
  Tokenizer *t;
  VocabularyFile *f;
  const char *path;
  unsigned char *scratch; /* of the file: at least as long as its text */
  int byte_of[0x144];     /* by code point: the byte that it stands for, or -1 */
} Reading;

/* ---- what stands in JSON ---- */

static const cJSON *field(const cJSON *j, const char *name) { return cJSON_GetObjectItemCaseSensitive(j, name); }

static bool is_nothing(const cJSON *j)
{
  return !j || cJSON_IsNull(j) || cJSON_IsFalse(j) || (cJSON_IsString(j) && !*j->valuestring) ||
         (cJSON_IsNumber(j) && !(j->valuedouble != 0));
}

static int id_of(const Reading *r, const cJSON *j, const char *name)
{
  if (!cJSON_IsNumber(j) || !(j->valuedouble >= 0 && j->valuedouble < VOCABULARY_MAX) ||
      j->valuedouble != (double)(int)j->valuedouble)
    rwkv_fail("%s: the id of \"%.60s\" is no whole number from 0 to %d", r->path, name, VOCABULARY_MAX - 1);
  return (int)j->valuedouble;
}

/* Fails unless the part is absent or one of the types, which ends with NULL. */
static void check_part(const Reading *r, const cJSON *json, const char *name, const char *type, bool needed)
{
  const cJSON *part = field(json, name), *is = field(part, "type");
  if (is_nothing(part) && !needed) return;
  if (!cJSON_IsString(is) || strcmp(is->valuestring, type))
    rwkv_fail("%s: %s is \"%.60s\", expected \"%s\"%s", r->path, name, cJSON_IsString(is) ? is->valuestring : "nothing",
              type, needed ? "" : " or nothing");
}

static void check_absent(const Reading *r, const cJSON *json, const char *part, const char *const *names)
{
  for (; *names; names++)
    if (!is_nothing(field(json, *names)))
      rwkv_fail("%s: %s%s is not supported, expected nothing", r->path, part, *names);
}

static void check_parts(const Reading *r, const cJSON *json, const cJSON *model)
{
  static const char *const none[] = {"truncation", "padding", NULL};
  static const char *const none_of_model[] = {
      "dropout",       "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback",
      "ignore_merges", NULL};
  static const char *const none_of_words[] = {"add_prefix_space", NULL};
  const cJSON *words = field(json, "pre_tokenizer"), *type = field(model, "type");
  if (type && (!cJSON_IsString(type) || strcmp(type->valuestring, "BPE")))
    rwkv_fail("%s: model is \"%.60s\", expected \"BPE\"", r->path,
              cJSON_IsString(type) ? type->valuestring : "nothing");
  check_absent(r, json, "", none);
  check_absent(r, model, "model: ", none_of_model);
  check_part(r, json, "normalizer", "NFC", false);
  check_part(r, json, "pre_tokenizer", "ByteLevel", true);
  check_part(r, json, "post_processor", "ByteLevel", false);
  check_part(r, json, "decoder", "ByteLevel", false);
  check_absent(r, words, "pre_tokenizer: ", none_of_words);
  if (cJSON_IsFalse(field(words, "use_regex")))
    rwkv_fail("%s: pre_tokenizer: use_regex is false, expected true", r->path);
}

/* cJSON ends a text at an escaped 0. */
static bool has_zero(const char *json)
{
  for (; (json = strchr(json, '\\')); json += json[1] ? 2 : 1)
    if (strncmp(json, "\\u0000", 6) == 0) return true;
  return false;
}

/* ---- tokens ---- */

/* GPT-2 spells a byte as a character that can be seen: itself, or one from U+0100 on. */
static void spell_bytes(Reading *r)
{
  int next = 0x100;
  memset(r->byte_of, 0xff, sizeof r->byte_of);
  for (int b = 0; b < 256; b++) {
    bool seen = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
    r->byte_of[seen ? b : next++] = b;
  }
}

/* The bytes that a name spells into r->scratch; of one that spells none its own. */
static size_t token_bytes(Reading *r, const char *name, bool *spelt)
{
  size_t n = strlen(name), count = 0;
  *spelt = true;
  const unsigned char *s = (const unsigned char *)name;
  for (size_t at = 0, length; at < n; at += length) {
    int32_t code;
    length = utf8_read(s + at, n - at, &code);
    if (code >= 0x144 || r->byte_of[code] < 0) return memcpy(r->scratch, name, n), *spelt = false, n;
    r->scratch[count++] = (unsigned char)r->byte_of[code];
  }
  return count;
}

static void read_token(Reading *r, const cJSON *j)
{
  const char *name = j->string;
  int id = id_of(r, j, name);
  bool spelt;
  size_t n = strlen(name), bytes = token_bytes(r, name, &spelt);
  const char *problem = vocabulary_put(&r->t->vocabulary, id, r->scratch, bytes);
  if (problem) rwkv_fail("%s: token \"%.60s\": %s", r->path, name, problem);
  int other = trie_add(&r->f->names, (const unsigned char *)name, n, id);
  if (other != id) rwkv_fail("%s: token \"%.60s\" stands there twice", r->path, name);
  if (spelt && bytes == 1) r->t->bpe->byte_id[r->scratch[0]] = id;
}

static int find(const Reading *r, const char *name, size_t n, size_t line)
{
  int id = trie_find(&r->f->names, (const unsigned char *)name, n);
  if (id < 0)
    rwkv_fail("%s: merge %zu: \"%.*s\" is no token of the vocabulary", r->path, line, (int)(n < 60 ? n : 60), name);
  return id;
}

/* "a b", or since 2024 ["a", "b"] */
static void read_merge(Reading *r, const cJSON *j, size_t i)
{
  const cJSON *first = cJSON_IsArray(j) ? j->child : NULL, *second = first ? first->next : NULL;
  const char *text = cJSON_IsString(j) ? j->valuestring : NULL, *space = text ? strchr(text, ' ') : NULL;
  bool good = space ? !strchr(space + 1, ' ') : cJSON_IsString(first) && cJSON_IsString(second) && !second->next;
  if (!good) rwkv_fail("%s: merge %zu: expected two tokens, as \"a b\" or [\"a\", \"b\"]", r->path, i + 1);
  const char *left = space ? text : first->valuestring, *right = space ? space + 1 : second->valuestring;
  size_t n = space ? (size_t)(space - text) : strlen(left), m = strlen(right);
  uint64_t pair = bpe_pair(find(r, left, n, i + 1), find(r, right, m, i + 1));
  memcpy(r->scratch, left, n);
  memcpy(r->scratch + n, right, m);
  r->t->bpe->merged[i] = find(r, (const char *)r->scratch, n + m, i + 1);
  if (table_find(&r->t->bpe->merges, pair) != TABLE_NONE)
    rwkv_fail("%s: merge %zu: \"%.60s\" and \"%.60s\" stand there twice", r->path, i + 1, left, right);
  table_put(&r->t->bpe->merges, pair, (uint32_t)i);
}

/* An added token, which is no part of words. */
static void read_added(Reading *r, const cJSON *j, size_t i)
{
  static const char *const none[] = {"single_word", "lstrip", "rstrip", NULL};
  const cJSON *content = field(j, "content"), *normalized = field(j, "normalized");
  Bpe *b = r->t->bpe;
  if (!cJSON_IsString(content) || !*content->valuestring)
    rwkv_fail("%s: added token %zu has no content", r->path, i + 1);
  const char *name = content->valuestring;
  const unsigned char *text = (const unsigned char *)name;
  int id = id_of(r, field(j, "id"), name);
  size_t n = strlen(name);
  check_absent(r, j, "added tokens: ", none);
  int known = trie_find(&r->f->names, text, n);
  if (known >= 0 && known != id)
    rwkv_fail("%s: added token \"%.60s\" is %d, but %d in the vocabulary", r->path, name, id, known);
  const char *problem = known < 0 ? vocabulary_put(&r->t->vocabulary, id, text, n) : NULL;
  if (problem) rwkv_fail("%s: added token \"%.60s\": %s", r->path, name, problem);
  bool normal = normalized ? cJSON_IsTrue(normalized) : !cJSON_IsTrue(field(j, "special"));
  if (normal && b->normalise) text = nfc_text(&b->nfc, text, &n);
  if (trie_add(normal ? &r->f->normal : &r->f->raw, text, n, id) != id)
    rwkv_fail("%s: added token \"%.60s\" stands there twice", r->path, name);
  for (size_t k = 1; k < n; k++) b->whole |= (text[k] == ' ' || text[k] == '\n') && text[k - 1] > ' ';
}

static void read_list(Reading *r, const cJSON *list, const char *name, void (*read)(Reading *, const cJSON *, size_t))
{
  size_t i = 0;
  const cJSON *j;
  if (list && !cJSON_IsArray(list)) rwkv_fail("%s: %s is no list", r->path, name);
  cJSON_ArrayForEach(j, list)
  {
    rwkv_poll();
    read(r, j, i++);
  }
}

/* ---- all of it ---- */

void bpe_read(Tokenizer *t, VocabularyFile *f)
{
  const cJSON *model = field(f->json, "model"), *vocab = field(model, "vocab"), *merges = field(model, "merges"), *j;
  Reading r = {.t = t, .f = f, .path = f->path};
  check_parts(&r, f->json, model);
  if (has_zero((const char *)f->text))
    rwkv_fail("%s: a token has a byte 0 (\\u0000), which no byte-level BPE has", f->path);
  if (!cJSON_IsObject(vocab)) rwkv_fail("%s: model has no vocab", f->path);
  if (!cJSON_IsArray(merges)) rwkv_fail("%s: model has no merges", f->path);
  r.scratch = f->scratch = buffer_grow(f->scratch, &f->room, f->n + 1, 1, "a vocabulary");
  spell_bytes(&r);
  trie_open(&f->names);
  trie_open(&f->raw);
  trie_open(&f->normal);
  Bpe *b = t->bpe = rwkv_alloc(1, sizeof *b, "a tokenizer");
  memset(b->byte_id, 0xff, sizeof b->byte_id);
  b->path = t->path;
  b->normalise = !is_nothing(field(f->json, "normalizer"));
  table_open(&b->merges);
  b->words = words_open();
  b->cache = rwkv_alloc(CACHED_WORDS, sizeof *b->cache, "a tokenizer");
  b->merged = rwkv_alloc((size_t)cJSON_GetArraySize(merges), sizeof *b->merged, "a vocabulary");
  cJSON_ArrayForEach(j, vocab)
  {
    rwkv_poll();
    read_token(&r, j);
  }
  read_list(&r, merges, "model.merges", read_merge);
  read_list(&r, field(f->json, "added_tokens"), "added_tokens", read_added);
  double_array_build(&b->raw, &f->raw, f->path);
  double_array_build(&b->normal, &f->normal, f->path);
}

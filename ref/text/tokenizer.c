#include "tokenizer.h"

#include "../engine/err.h"
#include "../io/json.h"
#include "../io/regular.h"
#include "kinds.h"
#include "utf8.h"

#include <errno.h>
#include <string.h>

/* ---- a file ---- */

static void read_text(VocabularyFile *f)
{
  size_t size;
  FILE *file = regular_open(f->path, &size);
  f->text = rwkv_try_alloc(1, size + 1);
  errno = 0;
  if (f->text) f->n = fread(f->text, 1, size, file);
  int error = errno;
  fclose(file);
  if (!f->text) memory_fail(size, "%s", f->path);
  if (f->n != size) rwkv_fail("%s: %s", f->path, error ? strerror(error) : "became shorter while it was read");
}

static unsigned unit(const VocabularyFile *f, size_t at, bool big)
{
  return big ? (unsigned)f->text[at] << 8 | f->text[at + 1] : (unsigned)f->text[at + 1] << 8 | f->text[at];
}

/* UTF-16 becomes UTF-8; v1 to v3 wrote their vocabularies so. */
static void convert_utf16(VocabularyFile *f)
{
  static const unsigned char little_mark[] = {0xff, 0xfe}, big_mark[] = {0xfe, 0xff};
  bool marked = f->n >= 2 && (!memcmp(f->text, little_mark, 2) || !memcmp(f->text, big_mark, 2));
  bool big = f->n >= 2 && (marked ? f->text[0] == 0xfe : !f->text[0] && f->text[1] == '{');
  if (!marked && !big && !(f->n >= 2 && f->text[0] == '{' && !f->text[1])) return;
  if (f->n % 2) rwkv_fail("%s: is UTF-16, but has an odd number of bytes", f->path);
  unsigned char *out = f->scratch = buffer_grow(f->scratch, &f->room, f->n / 2 * 3 + 1, 1, "a vocabulary");
  for (size_t at = marked ? 2 : 0; at < f->n; at += 2) {
    int32_t code = (int32_t)unit(f, at, big);
    if (code >= 0xd800 && code < 0xdc00 && at + 3 < f->n) {
      int32_t low = (int32_t)unit(f, at + 2, big) - 0xdc00;
      if (low >= 0 && low < 0x400) code = 0x10000 + ((code - 0xd800) << 10) + low, at += 2;
    }
    size_t n = utf8_write(code, out);
    if (!n) rwkv_fail("%s: byte %zu: half a surrogate pair of UTF-16", f->path, at);
    out += n;
  }
  *out = 0;
  rwkv_release(f->text);
  f->text = f->scratch;
  f->n = (size_t)(out - f->text);
  f->scratch = NULL, f->room = 0;
}

static size_t line_at(const VocabularyFile *f, const char *at)
{
  size_t line = 1;
  for (const char *c = (const char *)f->text; c < at; c++) line += *c == '\n';
  return line;
}

/* cJSON takes any bytes into its texts. */
static void check_utf8(const VocabularyFile *f)
{
  int32_t code;
  for (size_t at = 0, length; at < f->n; at += length)
    if (!(length = utf8_read(f->text + at, f->n - at, &code)))
      rwkv_fail("%s: line %zu: not UTF-8, which JSON has to be", f->path, line_at(f, (const char *)f->text + at));
}

static void parse_json(VocabularyFile *f)
{
  static const char *const mark = "\xef\xbb\xbf";
  const char *text = (const char *)f->text;
  if (strlen(text) != f->n)
    rwkv_fail("%s: line %zu: a byte 0, which JSON cannot have", f->path, line_at(f, text + strlen(text)));
  check_utf8(f);
  f->json = json_parse(text + (strncmp(text, mark, 3) ? 0 : 3));
  if (f->json) return;
  if (rwkv_stopping()) rwkv_fail("interrupted");
  rwkv_fail("%s: line %zu: not JSON, or cut", f->path, line_at(f, cJSON_GetErrorPtr()));
}

/* ---- its kind ---- */

static void read_kind(Tokenizer *t, VocabularyFile *f)
{
  convert_utf16(f);
  const unsigned char *first = f->text + strspn((const char *)f->text, "\xef\xbb\xbf \t\r\n");
  if (*first == '{') {
    parse_json(f);
    bool bpe = cJSON_GetObjectItemCaseSensitive(f->json, "model") != NULL;
    t->kind = bpe ? "bpe" : "chars";
    (bpe ? bpe_read : chars_read)(t, f);
  } else if (*f->text >= '0' && *f->text <= '9') {
    t->kind = "world";
    world_read(t, f);
  } else rwkv_fail("%s: no vocabulary: expected lines of a World vocabulary (1 '\\x00' 1), or JSON", f->path);
  if (!t->vocabulary.size) rwkv_fail("%s: a vocabulary without tokens", f->path);
}

static void add_bytes(Tokenizer *t)
{
  t->kind = "bytes";
  for (int i = 0; i < 256; i++) vocabulary_add(&t->vocabulary, i, &(unsigned char){(unsigned char)i}, 1);
}

typedef struct {
  Tokenizer *t;
  VocabularyFile file;
} Opening;

static void open_protected(void *arg)
{
  Opening *o = arg;
  o->t->path = rwkv_alloc(strlen(o->file.path) + 1, 1, "a name");
  strcpy(o->t->path, o->file.path);
  vocabulary_open(&o->t->vocabulary);
  if (strcmp(o->file.path, "bytes") == 0) {
    add_bytes(o->t);
  } else {
    read_text(&o->file);
    read_kind(o->t, &o->file);
  }
  vocabulary_finish(&o->t->vocabulary, o->t->path);
}

Tokenizer *tokenizer_open(const char *path)
{
  Opening o = {rwkv_alloc(1, sizeof *o.t, "a tokenizer"), {.path = path}};
  const char *problem = rwkv_protect(open_protected, &o);
  cJSON_Delete(o.file.json);
  trie_release(&o.file.names);
  trie_release(&o.file.raw);
  trie_release(&o.file.normal);
  if (o.file.text) rwkv_release(o.file.text);
  if (o.file.scratch) rwkv_release(o.file.scratch);
  if (problem) {
    tokenizer_close(o.t);
    rwkv_fail("%s", problem);
  }
  return o.t;
}

void tokenizer_close(Tokenizer *t)
{
  if (!t) return;
  vocabulary_release(&t->vocabulary);
  bpe_close(t->bpe);
  if (t->path) rwkv_release(t->path);
  rwkv_release(t);
}

/* ---- use ---- */

const char *tokenizer_path(const Tokenizer *t) { return t->path; }
const char *tokenizer_kind(const Tokenizer *t) { return t->kind; }
int tokenizer_size(const Tokenizer *t) { return (int)t->vocabulary.size; }

size_t tokenizer_encode(Tokenizer *t, const unsigned char *text, size_t n, bool more, Ids *out)
{
  return t->bpe ? bpe_encode(t->bpe, text, n, more, out)
                : vocabulary_encode(&t->vocabulary, t->path, text, n, more, out);
}

const unsigned char *tokenizer_bytes(const Tokenizer *t, int id, size_t *n)
{
  if (id < 0 || id >= tokenizer_size(t))
    rwkv_fail("%s: there is no id %d; ids are from 0 to %d", t->path, id, tokenizer_size(t) - 1);
  return vocabulary_bytes(&t->vocabulary, id, n);
}

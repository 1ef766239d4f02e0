#include "npy.h"

#include "../engine/err.h"

#include <stdlib.h>
#include <string.h>

static const char magic[] = "\x93NUMPY";

static const struct {
  const char *kind; /* a letter, and how many bytes */
  FileType type;
} kinds[] = {
    {"f8", FILE_F64}, {"f4", FILE_F32}, {"f2", FILE_F16}, {"i8", FILE_I64}, {"i4", FILE_I32}, {"i2", FILE_I16},
    {"i1", FILE_I8},  {"u8", FILE_U64}, {"u4", FILE_U32}, {"u2", FILE_U16}, {"u1", FILE_U8},  {"b1", FILE_BOOL},
};

/* ---- the header: a dictionary of Python's ---- */

typedef struct {
  const char *text, *at; /* text: for messages */
  char descr[16];
  bool fortran;
  int axes, shape[FILE_MAX_AXES];
  bool found[3];
} Header;

_Noreturn static void fail_with_header(const Header *h)
{
  char shown[201];
  size_t n = strlen(h->text);
  while (n && strchr(" \n", h->text[n - 1])) n--;
  snprintf(shown, sizeof shown, "%.*s", (int)(n < 200 ? n : 200), h->text);
  for (char *c = shown; *c; c++)
    if (*c < ' ' || *c > '~') *c = '?';
  rwkv_fail("not a .npy file that can be read: its header is %s, expected descr, fortran_order and shape", shown);
}

static void skip_blanks(Header *h) { h->at += strspn(h->at, " \t\n"); }

static bool take(Header *h, const char *word)
{
  skip_blanks(h);
  size_t n = strlen(word);
  if (strncmp(h->at, word, n)) return false;
  h->at += n;
  return true;
}

static void need(Header *h, const char *word)
{
  if (!take(h, word)) fail_with_header(h);
}

static void read_descr(Header *h)
{
  need(h, "'");
  size_t n = strcspn(h->at, "'");
  if (n >= sizeof h->descr || h->at[n] != '\'') fail_with_header(h);
  memcpy(h->descr, h->at, n);
  h->descr[n] = 0;
  h->at += n + 1;
}

static void read_order(Header *h)
{
  h->fortran = take(h, "True");
  if (!h->fortran) need(h, "False");
}

/* "(3, 4)", "(3,)", "()"; Python 2 wrote 3L. */
static void read_shape(Header *h)
{
  bool comma = true;
  need(h, "(");
  while (!take(h, ")")) {
    if (!comma || *h->at < '0' || *h->at > '9') fail_with_header(h);
    char *end;
    long long size = strtoll(h->at, &end, 10);
    if (size > 2147483647) fail_with_header(h);
    if (h->axes == FILE_MAX_AXES)
      rwkv_fail("not a .npy file that can be read: it has more than %d axes", FILE_MAX_AXES);
    h->shape[h->axes++] = (int)size;
    h->at = *end == 'L' ? end + 1 : end;
    comma = take(h, ",");
  }
  if (h->axes == 1 && !comma) fail_with_header(h); /* a number in brackets */
}

static void read_header(Header *h)
{
  static const struct {
    const char *key;
    void (*read)(Header *h);
  } keys[3] = {{"'descr'", read_descr}, {"'fortran_order'", read_order}, {"'shape'", read_shape}};
  need(h, "{");
  while (!take(h, "}")) {
    size_t i = 0;
    while (i < 3 && (h->found[i] || !take(h, keys[i].key))) i++;
    if (i == 3) fail_with_header(h);
    need(h, ":");
    keys[i].read(h);
    h->found[i] = true;
    if (!take(h, ",") && (skip_blanks(h), *h->at != '}')) fail_with_header(h);
  }
  skip_blanks(h);
  if (*h->at || !h->found[0] || !h->found[1] || !h->found[2]) fail_with_header(h);
}

/* ---- the whole ---- */

/* The header's text; `numbers`: where they begin. */
static const char *header_of(TensorFile *f, const unsigned char *bytes, size_t size, size_t *numbers)
{
  static const char bad[] = "not a .npy file that can be read:";
  if (size < 6 || memcmp(bytes, magic, 6)) rwkv_fail("%s it does not begin with \\x93NUMPY", bad);
  if (size < 12) rwkv_fail("%s %zu bytes are too short", bad, size);
  int version = bytes[6];
  if (version < 1 || version > 3) rwkv_fail("%s version %d, expected 1 to 3", bad, version);
  size_t begin = version == 1 ? 10 : 12, length = 0;
  for (size_t i = begin; i-- > 8;) length = length << 8 | bytes[i];
  if (length > size - begin) rwkv_fail("%s a header of %zu bytes, the file has %zu", bad, length, size);
  *numbers = begin + length;
  const char *text = format_copy(f, (const char *)bytes + begin, length);
  if (strlen(text) < length) fail_with_header(&(Header){.text = text});
  return text;
}

/* Column by column: the first axis runs fastest. */
static void turn_strides(FileTensor *t)
{
  ptrdiff_t n = 1;
  for (int i = 0; i < t->axes; i++) t->stride[i] = n, n *= t->shape[i];
}

void npy_list(TensorFile *f, const char *name, const unsigned char *bytes, size_t size)
{
  size_t at, i = 0;
  Header h = {.text = header_of(f, bytes, size, &at)};
  h.at = h.text;
  read_header(&h);
  const char *order = strchr("<>|=", *h.descr), *kind = h.descr + (*h.descr && order);
  while (i < sizeof kinds / sizeof *kinds && strcmp(kinds[i].kind, kind)) i++;
  if (i == sizeof kinds / sizeof *kinds)
    rwkv_fail(
        "not a .npy file that can be read: tensor \"%s\" has numbers of type %s; known are f8 f4 f2, i8 to i1, u8 "
        "to u1, b1",
        name, h.descr);
  FileTensor *t = format_tensor(f, name, kinds[i].type, h.axes, h.shape, bytes + at, size - at);
  size_t wanted = t->n * file_type_size(t->type);
  if (wanted != size - at)
    rwkv_fail("not a .npy file that can be read: tensor \"%s\" has %zu bytes for %zu numbers of %zu bytes", name,
              size - at, t->n, file_type_size(t->type));
  if (h.fortran) turn_strides(t);
  t->swapped = *h.descr == '>' && file_type_size(t->type) > 1;
}

static bool begins(const unsigned char *bytes, size_t size) { return size >= 6 && memcmp(bytes, magic, 6) == 0; }

static void list(TensorFile *f, const Mapping *m)
{
  format_name(f, "NumPy");
  npy_list(f, format_called(f, m->path), m->bytes, m->size);
}

const Format format_npy = {begins, list};

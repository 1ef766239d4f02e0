/* GGUF as far as its tensors are plain numbers. Numbers and texts of the header become metadata; lists, such as a
   vocabulary, are passed over. */
#include "format.h"
#include "gguf.h"

#include "../engine/err.h"

#include <limits.h>
#include <string.h>

/* By the number of the type in the file; the blocks of quantised ones are not read. */
static const struct {
  const char *name;
  bool plain;
  FileType type;
} types[] = {
    [0] = {"F32", true, FILE_F32},
    [1] = {"F16", true, FILE_F16},
    [2] = {"Q4_0"},
    [3] = {"Q4_1"},
    [6] = {"Q5_0"},
    [7] = {"Q5_1"},
    [8] = {"Q8_0"},
    [9] = {"Q8_1"},
    [10] = {"Q2_K"},
    [11] = {"Q3_K"},
    [12] = {"Q4_K"},
    [13] = {"Q5_K"},
    [14] = {"Q6_K"},
    [15] = {"Q8_K"},
    [16] = {"IQ2_XXS"},
    [17] = {"IQ2_XS"},
    [18] = {"IQ3_XXS"},
    [19] = {"IQ1_S"},
    [20] = {"IQ4_NL"},
    [21] = {"IQ3_S"},
    [22] = {"IQ2_S"},
    [23] = {"IQ4_XS"},
    [24] = {"I8", true, FILE_I8},
    [25] = {"I16", true, FILE_I16},
    [26] = {"I32", true, FILE_I32},
    [27] = {"I64", true, FILE_I64},
    [28] = {"F64", true, FILE_F64},
    [29] = {"IQ1_M"},
    [30] = {"BF16", true, FILE_BF16},
    [34] = {"TQ1_0"},
    [35] = {"TQ2_0"},
    [39] = {"MXFP4"},
};

static const size_t value_size[GGUF_VALUES] = {
    [GGUF_U8] = 1,  [GGUF_I8] = 1,  [GGUF_U16] = 2,  [GGUF_I16] = 2, [GGUF_U32] = 4, [GGUF_I32] = 4,
    [GGUF_F32] = 4, [GGUF_U64] = 8, [GGUF_BOOL] = 1, [GGUF_I64] = 8, [GGUF_F64] = 8,
};

/* ---- the header, byte after byte ---- */

typedef struct {
  TensorFile *f;
  const unsigned char *at;
  size_t left;
} Header;

static const unsigned char *take(Header *h, uint64_t n)
{
  const unsigned char *bytes = h->at;
  if (n > h->left) rwkv_fail("ends within its header: not GGUF, or truncated");
  h->at += n, h->left -= (size_t)n;
  return bytes;
}

#define TAKE(h, type) (*(type *)memcpy(&(type){0}, take(h, sizeof(type)), sizeof(type)))

/* A text of the file's; it stays. what: for messages. */
static const char *take_text(Header *h, const char *what)
{
  uint64_t n = TAKE(h, uint64_t);
  const unsigned char *bytes = take(h, n);
  if (memchr(bytes, 0, (size_t)n)) rwkv_fail("%s has a zero byte", what);
  return format_copy(h->f, (const char *)bytes, (size_t)n);
}

static uint32_t take_value_type(Header *h, const char *key)
{
  uint32_t type = TAKE(h, uint32_t);
  if (type >= GGUF_VALUES) rwkv_fail("metadata \"%.100s\" is of type %u, expected 0 to %d", key, type, GGUF_VALUES - 1);
  return type;
}

static void skip_list(Header *h, const char *key, int depth)
{
  uint32_t type = take_value_type(h, key);
  uint64_t count = TAKE(h, uint64_t);
  if (depth > 8) rwkv_fail("metadata \"%.100s\" is lists within lists, more than 8", key);
  if (value_size[type] && count > h->left / value_size[type]) take(h, UINT64_MAX);
  if (value_size[type]) take(h, count * value_size[type]);
  for (uint64_t i = 0; !value_size[type] && i < count; i++) {
    rwkv_poll();
    if (type == GGUF_TEXT) take(h, TAKE(h, uint64_t));
    else skip_list(h, key, depth + 1);
  }
}

static void take_value(Header *h, const char *key, uint32_t type)
{
  TensorFile *f = h->f;
  const char *text = NULL;
  switch ((GgufValue)type) {
  case GGUF_U8: text = format_printed(f, "%u", TAKE(h, uint8_t)); break;
  case GGUF_I8: text = format_printed(f, "%d", TAKE(h, int8_t)); break;
  case GGUF_U16: text = format_printed(f, "%u", TAKE(h, uint16_t)); break;
  case GGUF_I16: text = format_printed(f, "%d", TAKE(h, int16_t)); break;
  case GGUF_U32: text = format_printed(f, "%u", TAKE(h, uint32_t)); break;
  case GGUF_I32: text = format_printed(f, "%d", TAKE(h, int32_t)); break;
  case GGUF_U64: text = format_printed(f, "%llu", (unsigned long long)TAKE(h, uint64_t)); break;
  case GGUF_I64: text = format_printed(f, "%lld", (long long)TAKE(h, int64_t)); break;
  case GGUF_F32: text = format_printed(f, "%.9g", (double)TAKE(h, float)); break;
  case GGUF_F64: text = format_printed(f, "%.17g", TAKE(h, double)); break;
  case GGUF_BOOL: text = TAKE(h, uint8_t) ? "true" : "false"; break;
  case GGUF_TEXT: text = take_text(h, format_printed(f, "metadata \"%.100s\"", key)); break;
  default: skip_list(h, key, 0);
  }
  if (text) format_text(f, key, text);
}

/* Returns the alignment of tensors. */
static uint64_t take_metadata(Header *h, uint64_t count)
{
  uint64_t alignment = GGUF_ALIGNMENT;
  for (uint64_t i = 0; i < count; i++) {
    rwkv_poll();
    const char *key = take_text(h, "a key of the metadata");
    uint32_t type = take_value_type(h, key);
    bool is_alignment = strcmp(key, "general.alignment") == 0;
    if (is_alignment && type != GGUF_U32) rwkv_fail("general.alignment is of type %u, expected %d", type, GGUF_U32);
    if (is_alignment) alignment = TAKE(h, uint32_t);
    else take_value(h, key, type);
  }
  if (!alignment || alignment & (alignment - 1))
    rwkv_fail("general.alignment is %d, expected a power of 2", (int)alignment);
  return alignment;
}

/* ---- tensors ---- */

static FileType plain_type(const char *name, uint32_t type)
{
  bool known = type < sizeof types / sizeof *types && types[type].name;
  if (known && types[type].plain) return types[type].type;
  if (!known) rwkv_fail("tensor \"%s\" is of type %u, which nothing is known of", name, type);
  rwkv_fail("tensor \"%s\" is quantised (%s); take a file of F32, F16 or BF16", name, types[type].name);
}

typedef struct {
  const unsigned char *bytes; /* NULL: not known yet */
  size_t size;
  uint64_t alignment;
} Data;

/* The sizes stand there with the one first that runs fastest. */
static void take_tensor(Header *h, const Data *data)
{
  int shape[FILE_MAX_AXES];
  const char *name = take_text(h, "the name of a tensor");
  uint32_t axes = TAKE(h, uint32_t);
  if (axes > FILE_MAX_AXES) rwkv_fail("tensor \"%s\" has %u axes, expected at most %d", name, axes, FILE_MAX_AXES);
  for (uint32_t i = axes; i-- > 0;) {
    uint64_t size = TAKE(h, uint64_t);
    if (size > INT_MAX) rwkv_fail("tensor \"%s\" has a size of %llu", name, (unsigned long long)size);
    shape[i] = (int)size;
  }
  FileType type = plain_type(name, TAKE(h, uint32_t));
  uint64_t offset = TAKE(h, uint64_t);
  if (offset % data->alignment)
    rwkv_fail("tensor \"%s\" begins at %llu, expected a multiple of %d", name, (unsigned long long)offset,
              (int)data->alignment);
  if (!data->bytes) return;
  if (offset > data->size) rwkv_fail("tensor \"%s\" begins behind the end of the file", name);
  format_tensor(h->f, name, type, (int)axes, shape, data->bytes + offset, data->size - (size_t)offset);
}

static void take_tensors(Header *h, uint64_t count, const Data *data)
{
  for (uint64_t i = 0; i < count; i++) {
    rwkv_poll();
    take_tensor(h, data);
  }
}

static void list(TensorFile *f, const Mapping *m)
{
  Header h = {f, m->bytes, m->size};
  format_name(f, "GGUF");
  take(&h, 4);
  uint32_t version = TAKE(&h, uint32_t);
  if (version && !(version & 0xffff)) rwkv_fail("is a GGUF file of a big-endian machine; take a little-endian one");
  if (version != 2 && version != 3) rwkv_fail("is GGUF of version %u, expected 2 or 3", version);
  uint64_t tensors = TAKE(&h, uint64_t), values = TAKE(&h, uint64_t);
  Data data = {.alignment = take_metadata(&h, values)};
  Header again = h;
  take_tensors(&h, tensors, &data); /* where they end the numbers begin */
  size_t at = m->size - h.left, gap = (size_t)(-(uint64_t)at % data.alignment);
  data.size = h.left > gap ? h.left - gap : 0;
  data.bytes = h.left > gap ? h.at + gap : h.at;
  take_tensors(&again, tensors, &data);
}

static bool begins(const unsigned char *bytes, size_t size) { return size >= 4 && memcmp(bytes, "GGUF", 4) == 0; }

const Format format_gguf = {begins, list};

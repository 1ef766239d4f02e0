/* GGUF, version 3. Metadata is text, but for keys whose values llama.cpp wants as numbers. */
#include "gguf.h"
#include "writer_format.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
  bool there;
  uint32_t number;
} types[FILE_TYPES] = {
    [FILE_F64] = {true, 28}, [FILE_F32] = {true, 0},  [FILE_F16] = {true, 1},  [FILE_BF16] = {true, 30},
    [FILE_I64] = {true, 27}, [FILE_I32] = {true, 26}, [FILE_I16] = {true, 25}, [FILE_I8] = {true, 24},
};

static const char *problem(const WriterPart *p)
{
  if (!types[p->type].there) return "which GGUF has no type for: write .safetensors";
  if (p->axes > GGUF_MAX_AXES) return "and has more than the 4 axes of GGUF: write .safetensors";
  return strlen(p->name) > GGUF_MAX_NAME ? "and has a name above the 63 bytes of GGUF: write .safetensors" : NULL;
}

/* ---- metadata ---- */

/* How keys end that llama.cpp reads as numbers. */
static const struct {
  const char *ending;
  GgufValue value;
} numbers[] = {
    {".context_length", GGUF_U32},
    {".embedding_length", GGUF_U32},
    {".block_count", GGUF_U32},
    {".feed_forward_length", GGUF_U32},
    {".vocab_size", GGUF_U32},
    {".wkv.head_size", GGUF_U32},
    {".attention.head_count", GGUF_U32},
    {".attention.layer_norm_epsilon", GGUF_F32},
    {"_lora_rank", GGUF_U32},
    {"_extra_dim", GGUF_U32},
    {".rescale_every_n_layers", GGUF_U32},
    {".token_shift_count", GGUF_U32},
    {"general.file_type", GGUF_U32},
    {"general.quantization_version", GGUF_U32},
};

static GgufValue value_of(const WriterText *t, double *x)
{
  size_t n = strlen(t->key);
  char *end;
  *x = strtod(t->text, &end);
  for (size_t i = 0; *t->text && !*end && i < sizeof numbers / sizeof *numbers; i++) {
    size_t m = strlen(numbers[i].ending);
    bool fits = numbers[i].value == GGUF_F32 || (*x >= 0 && *x <= UINT32_MAX && *x == floor(*x));
    if (fits && n >= m && strcmp(t->key + n - m, numbers[i].ending) == 0) return numbers[i].value;
  }
  return GGUF_TEXT;
}

static bool put(FILE *f, const void *bytes, size_t n) { return writer_to_file(f, bytes, n); }
static bool put_u32(FILE *f, uint32_t x) { return put(f, &x, sizeof x); }
static bool put_u64(FILE *f, uint64_t x) { return put(f, &x, sizeof x); }
static bool put_text(FILE *f, const char *text) { return put_u64(f, strlen(text)) && put(f, text, strlen(text)); }

static bool put_value(FILE *f, const WriterText *t)
{
  double x;
  GgufValue value = value_of(t, &x);
  if (!put_text(f, t->key) || !put_u32(f, value)) return false;
  if (value == GGUF_TEXT) return put_text(f, t->text);
  return value == GGUF_F32 ? put(f, &(float){(float)x}, sizeof(float)) : put_u32(f, (uint32_t)x);
}

/* ---- tensors ---- */

static uint64_t aligned(uint64_t n) { return (n + GGUF_ALIGNMENT - 1) / GGUF_ALIGNMENT * GGUF_ALIGNMENT; }

static bool put_entry(FILE *f, const WriterPart *p, uint64_t offset)
{
  bool ok = put_text(f, p->name) && put_u32(f, (uint32_t)p->axes);
  for (int i = p->axes; ok && i-- > 0;) ok = put_u64(f, (uint64_t)p->shape[i]);
  return ok && put_u32(f, types[p->type].number) && put_u64(f, offset);
}

/* Zeros up to where the next thing begins. */
static bool pad(FILE *f)
{
  static const char zeros[GGUF_ALIGNMENT];
  long at = ftell(f);
  return at >= 0 && put(f, zeros, (size_t)(aligned((uint64_t)at) - (uint64_t)at));
}

static bool write(FileWriter *w, FILE *f)
{
  uint64_t offset = 0;
  bool ok = put(f, "GGUF", 4) && put_u32(f, 3) && put_u64(f, (uint64_t)w->count) && put_u64(f, (uint64_t)w->text_count);
  for (int i = 0; ok && i < w->text_count; i++) ok = put_value(f, &w->texts[i]);
  for (int i = 0; ok && i < w->count; offset += aligned(w->parts[i++].size)) ok = put_entry(f, &w->parts[i], offset);
  ok = ok && pad(f);
  for (int i = 0; ok && i < w->count; i++) ok = writer_part(w, &w->parts[i], writer_to_file, f) && pad(f);
  return ok;
}

const WriterFormat writer_gguf = {write, problem};

/* The numbers of a tensor in a file. */
#include "format.h"

#include "../engine/err.h"

#include <string.h>

static const struct {
  const char *name;
  size_t size;
} types[FILE_TYPES] = {
    [FILE_F64] = {"F64", 8},   [FILE_F32] = {"F32", 4}, [FILE_F16] = {"F16", 2}, [FILE_BF16] = {"BF16", 2},
    [FILE_I64] = {"I64", 8},   [FILE_I32] = {"I32", 4}, [FILE_I16] = {"I16", 2}, [FILE_I8] = {"I8", 1},
    [FILE_U64] = {"U64", 8},   [FILE_U32] = {"U32", 4}, [FILE_U16] = {"U16", 2}, [FILE_U8] = {"U8", 1},
    [FILE_BOOL] = {"BOOL", 1},
};

const char *file_type_name(FileType type) { return types[type].name; }
size_t file_type_size(FileType type) { return types[type].size; }
bool file_is_floating(FileType type) { return type <= FILE_BF16; }

bool file_storage(FileType type, Storage *out)
{
  *out = type == FILE_BF16 ? STORED_BF16 : type == FILE_F16 ? STORED_F16 : STORED_F32;
  return type == FILE_F32 || type == FILE_BF16 || type == FILE_F16;
}

bool file_row_major(const FileTensor *t)
{
  ptrdiff_t n = 1;
  for (int i = t->axes; i-- > 0; n *= t->shape[i])
    if (t->shape[i] != 1 && t->stride[i] != n) return false;
  return true;
}

const void *file_bits(const FileTensor *t, Storage *out)
{
  bool fits = file_storage(t->type, out) && !t->swapped && file_row_major(t);
  return fits && (uintptr_t)t->bytes % types[t->type].size == 0 ? t->bytes : NULL;
}

/* ---- bytes ---- */

static void swap_bytes(unsigned char *bytes, size_t n, size_t size)
{
  for (size_t i = 0; i < n; i++, bytes += size)
    for (size_t j = 0; j < size / 2; j++) {
      unsigned char b = bytes[j];
      bytes[j] = bytes[size - 1 - j], bytes[size - 1 - j] = b;
    }
}

/* Element by element, row-major. */
static void gather(const FileTensor *t, size_t from, size_t n, unsigned char *out)
{
  size_t size = types[t->type].size, index[FILE_MAX_AXES], rest = from;
  ptrdiff_t at = 0;
  for (int i = t->axes; i-- > 0; rest /= (size_t)t->shape[i]) {
    index[i] = rest % (size_t)t->shape[i];
    at += (ptrdiff_t)index[i] * t->stride[i];
  }
  for (size_t e = 0; e < n; e++, out += size) {
    memcpy(out, t->bytes + at * (ptrdiff_t)size, size);
    for (int i = t->axes; i-- > 0;) {
      at += t->stride[i];
      if (++index[i] < (size_t)t->shape[i]) break;
      at -= t->stride[i] * t->shape[i];
      index[i] = 0;
    }
  }
}

static void read_bytes(const FileTensor *t, size_t from, size_t n, void *out)
{
  size_t size = types[t->type].size;
  if (file_row_major(t)) memcpy(out, t->bytes + from * size, n * size);
  else gather(t, from, n, out);
  if (t->swapped) swap_bytes(out, n, size);
}

void file_read_bytes(const TensorFile *f, const FileTensor *t, size_t from, size_t n, void *out)
{
  if (n) read_bytes(t, from, n, out);
  file_check(f);
}

/* ---- numbers ---- */

#define TAKE(type) (*(const type *)memcpy(&(type){0}, p, sizeof(type)))

static double element(FileType type, const unsigned char *p)
{
  uint16_t half;
  uint32_t bits;
  float single;
  switch (type) {
  case FILE_F64: return TAKE(double);
  case FILE_F32: return (double)TAKE(float);
  case FILE_F16: return packed_half(TAKE(uint16_t));
  case FILE_BF16: return half = TAKE(uint16_t), bits = (uint32_t)half << 16, memcpy(&single, &bits, 4), (double)single;
  case FILE_I64: return (double)TAKE(int64_t);
  case FILE_I32: return TAKE(int32_t);
  case FILE_I16: return TAKE(int16_t);
  case FILE_I8: return TAKE(int8_t);
  case FILE_U64: return (double)TAKE(uint64_t);
  case FILE_U32: return TAKE(uint32_t);
  case FILE_U16: return TAKE(uint16_t);
  default: return *p;
  }
}

enum { PIECE = 1 << 14 }; /* how many numbers are read at a time */

/* Calls put(out, i, value) for n elements. */
static void read_all(const TensorFile *f, const FileTensor *t, size_t from, size_t n, void *out,
                     void (*put)(void *out, size_t i, double x))
{
  unsigned char bytes[8 * PIECE];
  size_t size = types[t->type].size;
  for (size_t at = 0, count; at < n; at += count) {
    count = n - at < PIECE ? n - at : PIECE;
    rwkv_poll();
    read_bytes(t, from + at, count, bytes);
    for (size_t j = 0; j < count; j++) put(out, at + j, element(t->type, bytes + j * size));
  }
  file_check(f);
}

static void put_real(void *out, size_t i, double x) { ((real *)out)[i] = (real)x; }
static void put_double(void *out, size_t i, double x) { ((double *)out)[i] = x; }

static void check_floating(const TensorFile *f, const FileTensor *t)
{
  if (!file_is_floating(t->type))
    rwkv_fail("%s: tensor \"%s\" is %s, expected F64, F32, F16 or BF16", file_path(f), t->name, types[t->type].name);
}

void file_read(const TensorFile *f, const FileTensor *t, real *out)
{
  check_floating(f, t);
  read_all(f, t, 0, t->n, out, put_real);
}

void file_read_part(const TensorFile *f, const FileTensor *t, size_t from, size_t n, double *out)
{
  read_all(f, t, from, n, out, put_double);
}

void file_read_doubles(const TensorFile *f, const FileTensor *t, double *out) { file_read_part(f, t, 0, t->n, out); }

void file_read_tensor(const TensorFile *f, const FileTensor *t, Tensor *out)
{
  unsigned char bytes[4 * PIECE];
  real numbers[PIECE];
  check_floating(f, t);
  for (size_t at = 0, count; at < t->n; at += count) {
    count = t->n - at < PIECE ? t->n - at : PIECE;
    rwkv_poll();
    if (out->packed.bits) read_bytes(t, at, count, bytes), tensor_write_packed(out, at, count, bytes);
    else read_all(f, t, at, count, numbers, put_real), tensor_write(out, at, count, numbers);
  }
  file_check(f);
}

typedef struct {
  int *out;
  size_t outside;
} Ints;

static void put_int(void *ctx, size_t i, double x)
{
  Ints *v = ctx;
  bool fits = x >= -2147483648.0 && x <= 2147483647.0;
  v->outside += !fits;
  v->out[i] = fits ? (int)x : 0;
}

void file_read_ints(const TensorFile *f, const FileTensor *t, int *out)
{
  if (file_is_floating(t->type))
    rwkv_fail("%s: tensor \"%s\" is %s, expected integers", file_path(f), t->name, types[t->type].name);
  Ints v = {out, 0};
  read_all(f, t, 0, t->n, &v, put_int);
  if (v.outside) rwkv_fail("%s: tensor \"%s\" has %zu numbers beyond 32 bits", file_path(f), t->name, v.outside);
}

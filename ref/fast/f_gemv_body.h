/* What f_gemv.c, f_gemv_v3.c and f_gemv_v4.c have in common. Each says before: VECTOR, the bytes of a vector;
   UNPACK_BF16 and UNPACK_F16, a vector of floats from as many halves at p; GEMV_CODE, the name of the result. */
typedef float Vec __attribute__((vector_size(VECTOR), aligned(4), may_alias));
enum {
  LANES = VECTOR / 4,
  AHEAD = 1024,                   /* bytes from what is read to what is asked for: */
  CACHE = 2,                      /* into the second one, as the first has too few places for lines on their way */
  TOGETHER = VECTOR < 64 ? 4 : 2, /* vectors of a row: more, and fewer rows are read while a sum comes to its end */
};

typedef uint32_t Bits __attribute__((vector_size(VECTOR)));

/* To the nearest bfloat16, of two to the even one; a NaN stays one. */
INLINE Vec rounded(Vec x)
{
  Bits u = (Bits)x, near = (u + 0x7fff + (u >> 16 & 1)) & 0xffff0000, nan = (u & 0x7fffffff) > 0x7f800000;
  return (Vec)((near & ~nan) | (u & nan));
}

INLINE Vec load(const char *w, Storage s, Factors as, size_t i)
{
  if (s == STORED_BF16) return UNPACK_BF16(w + 2 * i);
  Vec x;
  if (s == STORED_F32) x = *(const Vec *)(const void *)(w + 4 * i);
  else x = UNPACK_F16(w + 2 * i);
  return as == FACTORS_FULL ? x : rounded(x);
}

INLINE float load_1(const char *w, Storage s, Factors as, size_t i)
{
  uint16_t h;
  float x;
  if (s == STORED_F32) x = ((const float *)(const void *)w)[i];
  else memcpy(&h, w + 2 * i, 2), x = s == STORED_BF16 ? of_bits((uint32_t)h << 16) : half_float(h);
  return as == FACTORS_FULL || s == STORED_BF16 ? x : rounded((Vec){x})[0];
}

INLINE float total(Vec v)
{
  float part[LANES];
  memcpy(part, &v, sizeof part);
  for (int n = LANES / 2; n; n /= 2)
    for (int i = 0; i < n; i++) part[i] += part[i + n];
  return part[0];
}

/* Output o of R rows from row i. Each sum runs in U vectors, which hide each other's latency. */
INLINE void dots(const Gemv *q, Storage s, Factors as, size_t o, size_t i, int R, int U, bool first)
{
  size_t in = q->in, size = s == STORED_F32 ? 4 : 2, c = 0;
  const char *w = (const char *)q->w.bits + o * in * size;
  const float *x = q->x + i * in;
  Vec sum[8][4] = {0};
  for (; c + (size_t)U * LANES <= in; c += (size_t)U * LANES) {
    for (size_t b = 0; first && b < (size_t)U * LANES * size; b += 64)
      __builtin_prefetch(w + c * size + b + AHEAD, 0, CACHE);
    for (int u = 0; u < U; u++) {
      Vec a = load(w, s, as, c + (size_t)u * LANES);
      for (int r = 0; r < R; r++) sum[r][u] += a * *(const Vec *)(x + (size_t)r * in + c + (size_t)u * LANES);
    }
  }
  for (; c + LANES <= in; c += LANES) {
    Vec a = load(w, s, as, c);
    for (int r = 0; r < R; r++) sum[r][0] += a * *(const Vec *)(x + (size_t)r * in + c);
  }
  for (int r = 0; r < R; r++) {
    for (int u = 1; u < U; u++) sum[r][0] += sum[r][u];
    float y = total(sum[r][0]);
    for (size_t k = c; k < in; k++) y += load_1(w, s, as, k) * x[(size_t)r * in + k];
    q->y[(i + (size_t)r) * q->out + o] = q->bias ? y + q->bias[o] : y;
  }
}

INLINE void linear_as(const Gemv *q, Storage s, Factors as, size_t from, size_t to)
{
  for (size_t o = from; o < to; o++) {
    size_t i = 0;
    for (; i + 8 <= q->rows; i += 8) dots(q, s, as, o, i, 8, 2, i == 0);
    for (; i + 4 <= q->rows; i += 4) dots(q, s, as, o, i, 4, TOGETHER, i == 0);
    for (; i + 2 <= q->rows; i += 2) dots(q, s, as, o, i, 2, TOGETHER, i == 0);
    for (; i < q->rows; i++) dots(q, s, as, o, i, 1, TOGETHER, i == 0);
  }
}

static void linear(const Gemv *q, size_t from, size_t to)
{
  bool full = q->factors == FACTORS_FULL;
  if (q->w.storage == STORED_BF16) linear_as(q, STORED_BF16, FACTORS_BF16, from, to);
  else if (q->w.storage == STORED_F32 && full) linear_as(q, STORED_F32, FACTORS_FULL, from, to);
  else if (q->w.storage == STORED_F32) linear_as(q, STORED_F32, FACTORS_BF16, from, to);
  else if (full) linear_as(q, STORED_F16, FACTORS_FULL, from, to);
  else linear_as(q, STORED_F16, FACTORS_BF16, from, to);
}

/* Adds rows c .. c+K-1 of M, each times its number of x, to columns from .. to-1. */
INLINE void add_rows(const Gemv *q, Storage s, Factors as, size_t c, int K, size_t from, size_t to)
{
  size_t in = q->in, out = q->out, size = s == STORED_F32 ? 4 : 2, j = from;
  const char *m = (const char *)q->w.bits + c * out * size;
  size_t ahead = K == 1 ? AHEAD : (size_t)K * out * size; /* a single row is read on and on */
  for (; j + LANES <= to; j += LANES) {
    Vec w[4];
    for (int k = 0; k < K; k++) {
      __builtin_prefetch(m + ((size_t)k * out + j) * size + ahead, 0, CACHE);
      w[k] = load(m, s, as, (size_t)k * out + j);
    }
    for (size_t i = 0; i < q->rows; i++) {
      Vec *y = (Vec *)(q->y + i * out + j), sum = *y;
      for (int k = 0; k < K; k++) sum += w[k] * q->x[i * in + c + (size_t)k];
      *y = sum;
    }
  }
  for (; j < to; j++)
    for (size_t i = 0; i < q->rows; i++)
      for (int k = 0; k < K; k++)
        q->y[i * out + j] += load_1(m, s, as, (size_t)k * out + j) * q->x[i * in + c + (size_t)k];
}

INLINE void matmul_as(const Gemv *q, Storage s, Factors as, size_t from, size_t to)
{
  size_t c = 0;
  for (size_t i = 0; i < q->rows; i++) memset(q->y + i * q->out + from, 0, (to - from) * sizeof(float));
  bool alone = q->rows == 1 && s == STORED_F32; /* then a row of M at a time comes faster */
  for (; !alone && c + 4 <= q->in; c += 4) add_rows(q, s, as, c, 4, from, to);
  for (; c < q->in; c++) add_rows(q, s, as, c, 1, from, to);
}

static void matmul(const Gemv *q, size_t from, size_t to)
{
  bool full = q->factors == FACTORS_FULL;
  if (q->w.storage == STORED_BF16) matmul_as(q, STORED_BF16, FACTORS_BF16, from, to);
  else if (q->w.storage == STORED_F32 && full) matmul_as(q, STORED_F32, FACTORS_FULL, from, to);
  else if (q->w.storage == STORED_F32) matmul_as(q, STORED_F32, FACTORS_BF16, from, to);
  else if (full) matmul_as(q, STORED_F16, FACTORS_FULL, from, to);
  else matmul_as(q, STORED_F16, FACTORS_BF16, from, to);
}

INLINE void unpack_as(real *out, Packed w, Storage s, size_t from, size_t n)
{
  size_t i = 0;
  for (; i + LANES <= n; i += LANES) *(Vec *)(out + i) = load(w.bits, s, FACTORS_FULL, from + i);
  for (; i < n; i++) out[i] = load_1(w.bits, s, FACTORS_FULL, from + i);
}

static void unpack(real *out, Packed w, size_t from, size_t n)
{
  if (w.storage == STORED_F32) memcpy(out, (const float *)w.bits + from, n * sizeof *out);
  else if (w.storage == STORED_BF16) unpack_as(out, w, STORED_BF16, from, n);
  else unpack_as(out, w, STORED_F16, from, n);
}

const GemvCode GEMV_CODE = {linear, matmul, unpack};

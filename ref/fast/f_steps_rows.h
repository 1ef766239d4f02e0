/* The codes of a flow, for one width of vectors (f_widths.h): each over some rows of its operands. */

#define products_at AT_WIDTH(products_at)
#define products AT_WIDTH(products)
#define product AT_WIDTH(product)
#define dot_rows AT_WIDTH(dot_rows)
#define dot_down AT_WIDTH(dot_down)
#define pointwise AT_WIDTH(pointwise)
#define run_code AT_WIDTH(run_code)
#define run_flow AT_WIDTH(run_flow)

/* For each row, with pointers to the row of the result and of the operands. */
#define EACH_ROW(i) for (size_t i = 0; i < rows; i++)
#define EACH_VECTOR(j) for (; j + LANES <= cols; j += LANES)
#define EACH_REST(j) for (; j < cols; j++)
#define EACH_OF(c, many) \
  PRAGMA(GCC unroll 4)   \
  for (size_t c = 0; c < many; c++)

/* y = x + a sum of products. Second factors are vectors along the row, first ones such or one number; x may be
   none, or one number. `many` vectors at a time, over all rows: their sums stay in registers. */
INLINE void products_at(const Code *q, real *y, const real *const *in, int terms, size_t j, size_t many, size_t rows)
{
  bool one = q->in[0] != NO_VALUE && !q->of[0].columns, all = q->in[0] != NO_VALUE && q->of[0].columns;
  EACH_ROW(i)
  {
    Vec sum[4];
    if (all) EACH_OF(c, many) sum[c] = vec_load(in[0] + i * q->of[0].row + j + c * LANES);
    else {
      Vec x = vec_of(one ? in[0][i * q->of[0].row] : 0);
      EACH_OF(c, many) sum[c] = x;
    }
    for (int t = 0; t < terms; t++) {
      const Walk *w = &q->of[1 + 2 * t];
      const real *a = in[1 + 2 * t] + i * w[0].row, *b = in[2 + 2 * t] + i * w[1].row + j;
      if (w[0].columns) EACH_OF(c, many) sum[c] += vec_load(a + j + c * LANES) * q->sign[t] * vec_load(b + c * LANES);
      else {
        Vec a1 = vec_of(*a * q->sign[t]);
        EACH_OF(c, many) sum[c] += a1 * vec_load(b + c * LANES);
      }
    }
    EACH_OF(c, many) vec_store(y + i * q->to.row + j + c * LANES, sum[c]);
  }
}

INLINE void products(const Code *q, real *y, const real *const *in, int terms, size_t rows, size_t cols)
{
  size_t j = 0;
  for (; j + 4 * LANES <= cols; j += 4 * LANES) products_at(q, y, in, terms, j, 4, rows);
  for (; j + LANES <= cols; j += LANES) products_at(q, y, in, terms, j, 1, rows);
  EACH_REST(j)
  EACH_ROW(i)
  {
    real sum = q->in[0] == NO_VALUE ? 0 : in[0][i * q->of[0].row + (q->of[0].columns ? j : 0)];
    for (int t = 0; t < terms; t++) {
      const Walk *w = &q->of[1 + 2 * t];
      sum += in[1 + 2 * t][i * w[0].row + (w[0].columns ? j : 0)] * q->sign[t] * in[2 + 2 * t][i * w[1].row + j];
    }
    y[i * q->to.row + j] = sum;
  }
}

/* y = a + b, a - b or a b */
INLINE void product(const Code *q, real *y, const real *a, const real *b, bool a_columns, bool b_columns,
                    BinaryKind kind, size_t rows, size_t cols)
{
  EACH_ROW(i)
  {
    real *yi = y + i * q->to.row;
    const real *ai = a + i * q->of[0].row, *bi = b + i * q->of[1].row, a1 = *ai, b1 = *bi;
    size_t j = 0;
    EACH_VECTOR(j) {
      Vec aj = a_columns ? vec_load(ai + j) : vec_of(a1), bj = b_columns ? vec_load(bi + j) : vec_of(b1);
      vec_store(yi + j, kind == B_ADD ? aj + bj : kind == B_SUB ? aj - bj : aj * bj);
    }
    EACH_REST(j)
    {
      real aj = a_columns ? ai[j] : a1, bj = b_columns ? bi[j] : b1;
      yi[j] = kind == B_ADD ? aj + bj : kind == B_SUB ? aj - bj : aj * bj;
    }
  }
}

/* y[i] = the sum along row i of a b, or of a */
INLINE void dot_rows(const Code *q, real *y, const real *a, const real *b, bool of_products, size_t rows, size_t cols)
{
  size_t i = 0, row_a = q->of[0].row, row_b = q->of[1].row;
  for (; i < rows; i += 4) {
    size_t count = smaller(4, rows - i), j = 0;
    real sums[4], rest[4] = {0};
    Vec sum[4] = {{0}};
#define FOUR(k) _Pragma("GCC unroll 4") for (size_t k = 0; k < 4; k++)
    if (count == 4) {
      EACH_VECTOR(j)
        FOUR(k) {
          Vec ak = vec_load(a + (i + k) * row_a + j);
          sum[k] += of_products ? ak * vec_load(b + (i + k) * row_b + j) : ak;
        }
    } else {
      EACH_VECTOR(j)
        for (size_t k = 0; k < count; k++) {
          Vec ak = vec_load(a + (i + k) * row_a + j);
          sum[k] += of_products ? ak * vec_load(b + (i + k) * row_b + j) : ak;
        }
    }
#undef FOUR
    vec_sums_4(sums, sum);
    EACH_REST(j)
    for (size_t k = 0; k < count; k++) {
      real ak = a[(i + k) * row_a + j];
      rest[k] += of_products ? ak * b[(i + k) * row_b + j] : ak;
    }
    for (size_t k = 0; k < count; k++) y[(i + k) * q->to.row] = sums[k] + rest[k];
  }
}

/* y[j] (+)= the sum down column j of a b, or of a; b is a vector along the row or one number */
INLINE void dot_down(const Code *q, real *y, const real *a, const real *b, bool of_products, bool b_columns, bool first,
                     size_t rows, size_t cols)
{
  size_t j = 0, row_a = q->of[0].row, row_b = q->of[1].row;
#define DOWN(many)                                                                                          \
  for (; j + many * LANES <= cols; j += many * LANES) {                                                     \
    Vec sum[many];                                                                                          \
    _Pragma("GCC unroll 4") for (size_t c = 0; c < many; c++) sum[c] = first ? vec_of(0)                    \
                                                                             : vec_load(y + j + c * LANES); \
    EACH_ROW(i)                                                                                             \
    {                                                                                                       \
      Vec b1 = vec_of(of_products && !b_columns ? b[i * row_b] : 1);                                        \
      _Pragma("GCC unroll 4") for (size_t c = 0; c < many; c++)                                             \
      {                                                                                                     \
        Vec ai = vec_load(a + i * row_a + j + c * LANES);                                                   \
        if (of_products) ai *= b_columns ? vec_load(b + i * row_b + j + c * LANES) : b1;                    \
        sum[c] += ai;                                                                                       \
      }                                                                                                     \
    }                                                                                                       \
    _Pragma("GCC unroll 4") for (size_t c = 0; c < many; c++) vec_store(y + j + c * LANES, sum[c]);         \
  }
  DOWN(4)
  DOWN(1)
#undef DOWN
  EACH_REST(j)
  {
    real sum = first ? 0 : y[j];
    EACH_ROW(i) sum += a[i * row_a + j] * (!of_products ? 1 : b[i * row_b + (b_columns ? j : 0)]);
    y[j] = sum;
  }
}

/* What is left: one number after the other, as vectors where the compiler sees how. */
#define POINTWISE(value)                                                                   \
  EACH_ROW(i)                                                                              \
  {                                                                                        \
    real *restrict yi = y + i * q->to.row;                                                 \
    const real *ai = a + i * q->of[0].row, *bi = b + i * q->of[1].row, a1 = *ai, b1 = *bi; \
    (void)b1;                                                                              \
    if (q->of[0].columns && q->of[1].columns) {                                            \
      SIMD                                                                                 \
      for (size_t j = 0; j < cols; j++) {                                                  \
        real u = ai[j], v = bi[j];                                                         \
        (void)u, (void)v, yi[j] = (value);                                                 \
      }                                                                                    \
    } else                                                                                 \
      for (size_t j = 0; j < cols; j++) {                                                  \
        real u = q->of[0].columns ? ai[j] : a1, v = q->of[1].columns ? bi[j] : b1;         \
        (void)u, (void)v, yi[j] = (value);                                                 \
      }                                                                                    \
  }                                                                                        \
  break

static void pointwise(const Code *q, real *y, const real *a, const real *b, size_t rows, size_t cols)
{
  real scale = (real)q->scale, offset = (real)q->offset;
  switch (q->kind * 64 + q->which) {
  case CODE_AFFINE * 64: POINTWISE(scale * u + offset);
  case CODE_AT_LEAST * 64: POINTWISE(u >= v);
  case CODE_AT_MOST * 64: POINTWISE(u <= v);
  case CODE_BINARY * 64 + B_DIV: POINTWISE(u / v);
  case CODE_BINARY * 64 + B_MAX: POINTWISE(u >= v || u != u ? u : v);
  case CODE_BINARY * 64 + B_MIN: POINTWISE(u <= v || u != u ? u : v);
  case CODE_UNARY * 64 + U_NEG: POINTWISE(-u);
  case CODE_UNARY * 64 + U_EXP: POINTWISE(fast_exp(u));
  case CODE_UNARY * 64 + U_SQUARE: POINTWISE(u * u);
  case CODE_UNARY * 64 + U_ABS: POINTWISE(fast_abs(u));
  case CODE_UNARY * 64 + U_TANH: POINTWISE(fast_tanh(u));
  case CODE_UNARY * 64 + U_SIGMOID: POINTWISE(fast_sigmoid(u));
  case CODE_UNARY * 64 + U_SILU: POINTWISE(u * fast_sigmoid(u));
  case CODE_UNARY * 64 + U_RELU: POINTWISE(u < 0 ? 0 : u);
  case CODE_UNARY * 64 + U_RELU2: POINTWISE(u < 0 ? 0 : u * u);
  case CODE_SLOPE * 64 + U_SQUARE: POINTWISE(2 * u);
  case CODE_SLOPE * 64 + U_ABS: POINTWISE((real)(u > 0) - (real)(u < 0));
  case CODE_SLOPE * 64 + U_TANH: POINTWISE(1 - v * v);
  case CODE_SLOPE * 64 + U_SIGMOID: POINTWISE(v * (1 - v));
  case CODE_SLOPE * 64 + U_SILU: POINTWISE(fast_sigmoid(u) + v * (1 - fast_sigmoid(u)));
  case CODE_SLOPE * 64 + U_RELU: POINTWISE(u > 0);
  case CODE_SLOPE * 64 + U_RELU2: POINTWISE(u > 0 ? 2 * u : 0);
  default: /* rare ones: the reference's function */
    EACH_ROW(i)
    for (size_t j = 0; j < cols; j++) {
      acc u = a[i * q->of[0].row + j], v = q->kind == CODE_SLOPE ? (acc)b[i * q->of[1].row + j] : 0;
      const UnaryFunction *f = &k_unary_functions[q->which];
      y[i * q->to.row + j] = (real)(q->kind == CODE_SLOPE ? f->df(u, v) : f->f(u));
    }
  }
}
#undef POINTWISE

/* CALL with flags for operands that have a number for each column as constants */
#define BY_COLUMNS(f, g, CALL)   \
  if (f && g) CALL(true, true);  \
  else if (f) CALL(true, false); \
  else if (g) CALL(false, true); \
  else CALL(false, false);

static void run_code(const Code *q, real *y, const real *const *in, bool first, size_t rows, size_t cols)
{
  const real *a = in[0], *b = in[1];
  real part;
  if (q->flat && (q->kind == CODE_SUM_DOWN || q->kind == CODE_DOT_DOWN)) { /* of a column: a number */
    dot_rows(q, &part, a, b, q->kind == CODE_DOT_DOWN, 1, cols);
    *y = first ? part : *y + part;
    return;
  }
  bool in_a = q->of[0].columns, in_b = q->of[1].columns;
#define ADD(x, z) product(q, y, a, b, x, z, B_ADD, rows, cols)
#define SUB(x, z) product(q, y, a, b, x, z, B_SUB, rows, cols)
#define MUL(x, z) product(q, y, a, b, x, z, B_MUL, rows, cols)
  switch (q->kind) {
  case CODE_PRODUCTS:
    if (q->ins == 3) products(q, y, in, 1, rows, cols);
    else if (q->ins == 5) products(q, y, in, 2, rows, cols);
    else products(q, y, in, 3, rows, cols);
    break;
  case CODE_SUM: dot_rows(q, y, a, b, false, rows, cols); break;
  case CODE_DOT: dot_rows(q, y, a, b, true, rows, cols); break;
  case CODE_SUM_DOWN: dot_down(q, y, a, b, false, false, first, rows, cols); break;
  case CODE_DOT_DOWN:
    if (in_b) dot_down(q, y, a, b, true, true, first, rows, cols);
    else dot_down(q, y, a, b, true, false, first, rows, cols);
    break;
  case CODE_BINARY:
    if (q->which == B_ADD) BY_COLUMNS(in_a, in_b, ADD)
    else if (q->which == B_SUB) BY_COLUMNS(in_a, in_b, SUB)
    else if (q->which == B_MUL) BY_COLUMNS(in_a, in_b, MUL)
    else pointwise(q, y, a, b, rows, cols);
    break;
  default: pointwise(q, y, a, b, rows, cols);
  }
#undef ADD
#undef SUB
#undef MUL
}

/* at[v]: where value v is */
static void run_flow(const Flow *f, real *const *at)
{
  for (const FlowLoop *l = f->loop; l < f->loop + f->loops; l++)
    for (size_t r = 0; r < l->rows; r += l->tile) {
      size_t rows = smaller(l->tile, l->rows - r);
      for (const Code *q = f->code + l->first, *end = q + l->codes; q < end; q++) {
        const real *in[CODE_INPUTS] = {NULL};
        for (int k = 0; k < q->ins; k++) in[k] = q->in[k] < 0 ? NULL : at[q->in[k]] + r * q->of[k].move;
        real *y = at[q->out] + r * q->to.move;
        if (q->ins < 2) in[1] = in[0];
        if (q->flat) run_code(q, y, in, r == 0, 1, q->by_rows ? rows : q->inside.rows);
        else run_code(q, y, in, r == 0, rows, q->inside.cols);
      }
    }
}

#undef EACH_ROW
#undef EACH_VECTOR
#undef EACH_REST
#undef EACH_OF
#undef BY_COLUMNS

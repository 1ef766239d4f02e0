#include "kernel_cases.h"

#include <math.h>

/* ---- sizes ---- */

/* Odd ones, and such as take every path: several pieces for threads and tiles, the sizes that kernels treat apart
   (heads of 64, 16 states), more rows than column sums have parts, and enough for each part to be full. */
static const size_t lengths[][1] = {{1}, {3}, {17}, {64}, {65}, {130}, {20011}};
static const size_t long_lengths[][1] = {{1}, {3}, {17}, {64}, {65}, {130}, {20011}, {600011}};
static const size_t sheets[][2] = {{1, 1}, {3, 17}, {17, 3}, {1, 130}, {65, 64}, {64, 65}, {130, 130}, {300, 65}, {5, 300},
                                   {280, 530}};
/* the same, with room for a size between */
static const size_t spaced[][3] = {{1, 1, 1}, {3, 1, 17}, {17, 1, 3}, {1, 1, 130}, {65, 1, 64}, {64, 1, 65}, {130, 1, 130},
                                   {300, 1, 65}, {5, 1, 300}, {280, 1, 530}};
static const size_t cubes[][3] = {{1, 1, 1}, {2, 3, 17}, {3, 17, 3}, {1, 130, 65}, {9, 65, 64}, {2, 1, 130},
                                  {70, 1, 300}, {1, 40003, 1}, {3, 5, 790}, {1, 600011, 1}};
static const size_t maps[][3] = {{1, 1, 1}, {1, 3, 17}, {3, 17, 3}, {17, 64, 65}, {65, 65, 64}, {130, 3, 130},
                                 {4, 700, 130}, {2, 300, 500}, {700, 64, 32}, {270, 33, 300}, {7, 300, 17},
                                 {1, 400, 1030}, {300, 64, 1}, {300, 1, 64}, {17, 5, 1}, {1, 64, 1}, {70, 1, 1},
                                 {1, 1, 70}, {2, 65, 9}, {3, 130, 1030}, {8, 1100, 70}, {6, 67, 130}, {9, 1100, 140},
                                 {520, 17, 130}}; /* rows in out */
static const size_t permutes[][8] = {{1, 1, 1, 1, 0, 0, 0, 0}, {1, 1, 17, 3, 0, 0, 1, 17}, {3, 5, 17, 2, 2, 6, 30, 1}};
static const size_t matrices[][6] = {{1, 1, 1, 1, 1, 1}, {4, 1, 9, 1, 9, 9}, {4, 9, 1, 9, 9, 9}, {4, 9, 9, 1, 81, 9},
                                     {4, 1, 9, 9, 9, 81}, {3, 5, 7, 4, 35, 28}, {2, 17, 64, 33, 0, 2112},
                                     {7, 3, 130, 2, 390, 0}, {4, 65, 3, 64, 195, 192}, {37, 17, 9, 33, 153, 297},
                                     {31, 17, 9, 33, 0, 297}, {31, 17, 9, 33, 153, 0}}; /* batch M K N steps */
static const size_t copies[][5] = {{1, 1, 1, 1, 2}, {3, 2, 5, 17, 9}, {17, 3, 64, 65, 130}, {90, 9, 33, 17, 65}};
static const size_t linear_attentions[][5] = {{1, 1, 1, 1, 1}, {2, 3, 5, 17, 3}, {3, 17, 17, 3, 65}, {1, 1, 64, 65, 130},
                                              {9, 19, 23, 8, 64}}; /* B T U D C */
static const size_t attentions[][5] = {{1, 1, 1, 1, 1}, {2, 3, 5, 2, 17}, {3, 17, 17, 1, 65}, {1, 1, 64, 3, 64},
                                       {2, 66, 70, 2, 64}, {1, 5, 130, 1, 130}, {5, 33, 33, 2, 64}, {9, 7, 7, 3, 32}};
static const size_t wkv1s[][6] = {{1, 1, 1, 1, 1, 1}, {2, 3, 5, 2, 17, 9}, {3, 17, 17, 1, 64, 20}, {1, 1, 40, 5, 13, 65},
                                  {9, 21, 21, 2, 32, 40}}; /* B T U H N ctx */
static const size_t channels[][3] = {{1, 1, 1}, {2, 3, 17}, {3, 65, 64}, {1, 17, 65}, {2, 130, 130}, {5, 40, 3},
                                     {1, 3, 300}, {9, 33, 32}}; /* B T C */
static const size_t heads[][4] = {{1, 1, 1, 1}, {2, 3, 1, 3}, {1, 17, 2, 17}, {3, 33, 2, 64}, {1, 16, 1, 64},
                                  {1, 20, 1, 65}, {1, 18, 1, 130}, {1, 2, 1, 260}, {2, 19, 2, 12}, {1, 33, 1, 24},
                                  {1, 18, 2, 80}, {1, 17, 1, 256}, {9, 33, 1, 64}, {5, 19, 4, 32}, {5, 35, 3, 16},
                                  {3, 17, 1, 128}}; /* B T H N */
static const size_t scans[][4] = {{1, 1, 1, 1}, {2, 3, 17, 3}, {3, 33, 5, 16}, {1, 17, 65, 17}, {2, 40, 16, 1},
                                  {5, 16, 3, 64}, {1, 3, 2, 260}, {9, 33, 40, 16}}; /* B T D N */
static const Broadcast casts[] = {
    {{1, 1, 1, 1}, {0, 0, 0, 0}, {0, 0, 0, 0}},         {{1, 1, 1, 17}, {0, 0, 0, 1}, {0, 0, 0, 1}},
    {{5, 13, 20, 13}, {3380, 260, 13, 1}, {3380, 260, 13, 1}}, /* equal */
    {{1, 8, 65, 33}, {0, 2145, 33, 1}, {0, 0, 0, 1}},         /* [C] */
    {{1, 8, 65, 33}, {0, 0, 0, 1}, {0, 2145, 33, 1}},         /* [C] first */
    {{3, 7, 5, 17}, {595, 85, 17, 1}, {0, 0, 17, 1}},          /* [H,N] */
    {{3, 40, 5, 33}, {6600, 165, 33, 1}, {200, 5, 1, 0}},     /* [..,1] */
    {{3, 40, 5, 33}, {200, 5, 1, 0}, {6600, 165, 33, 1}},     /* [..,1] first */
    {{1, 1, 1, 130}, {0, 0, 0, 1}, {0, 0, 0, 0}},              /* a number */
    {{1, 3, 17, 3}, {0, 51, 3, 1}, {0, 3, 0, 1}},              /* in the middle */
    {{1, 1, 17, 65}, {0, 0, 0, 1}, {0, 0, 1, 0}},              /* outer: row by column */
    {{1, 2, 3, 300}, {0, 900, 300, 1}, {0, 0, 300, 1}},
};
static const Broadcast bench_cast = {{1, 64, 64, 64}, {0, 4096, 64, 1}, {0, 0, 0, 1}};
enum { CASTS = sizeof casts / sizeof *casts };

/* ---- kinds, and sizes that follow from others ---- */

static void set_unary(void *op, int way) { ((Unary *)op)->kind = way == BENCH ? U_TANH : (UnaryKind)way; }

static Broadcast cast(int way) { return way == BENCH ? bench_cast : casts[way % CASTS]; }

static void set_binary(void *op, int way)
{
  ((Binary *)op)->shape = cast(way);
  ((Binary *)op)->kind = way == BENCH ? B_MUL : (BinaryKind)(way / CASTS);
}

static void set_compare(void *op, int way)
{
  ((Compare *)op)->shape = cast(way);
  ((Compare *)op)->kind = way == BENCH ? C_GT : (CompareKind)(way / CASTS);
}

static void set_affine(void *op, int way)
{
  (void)way;
  ((Affine *)op)->scale = -0.75, ((Affine *)op)->offset = 1.25;
}

static void set_lerp(void *arg, int way)
{
  Lerp *op = arg;
  if (way == 1) op->mu_rows = op->rows;
  if (way == 2 && op->rows % 5 == 0) op->mu_rows = 5;
}

static Storage storage(int way) { return way == BENCH ? STORED_BF16 : (Storage)(way % STORAGE_COUNT); }
static void set_linear_packed(void *op, int way) { ((LinearPacked *)op)->w.storage = storage(way); }
static void set_matmul_packed(void *op, int way) { ((MatmulPacked *)op)->m.storage = storage(way); }

static void set_rows(void *op, int way)
{
  (void)way;
  ((Rows *)op)->rows = 50;
}

static void set_rows_packed(void *op, int way)
{
  ((RowsPacked *)op)->rows = 50;
  ((RowsPacked *)op)->table.storage = storage(way);
}

static void set_norm(void *op, int way)
{
  if (way == 1) ((Norm *)op)->H = 3;
  ((Norm *)op)->eps = 1e-5;
}

static void set_norm_backward(void *arg, int way)
{
  Norm *op = &((NormBackward *)arg)->forward;
  (void)way;
  if (op->N == 1) op->eps = 1; /* of one number only rounding is left */
}

static void set_l2norm(void *op, int way)
{
  (void)way;
  ((L2Norm *)op)->eps = 1e-12;
}

static void set_slice(void *arg, int way) /* the second half of the middle axis */
{
  Slice *op = arg;
  (void)way;
  op->from = op->size / 2, op->count = op->size - op->from;
}

static void set_unslice(void *arg, int way)
{
  Unslice *op = arg;
  (void)way;
  op->from = op->size / 2, op->count = op->size - op->from;
}

static void set_sum(void *arg, int way)
{
  Sum *op = arg;
  op->scale = 0.3;
  if (way == 1) op->size *= op->inner, op->inner = 1;
}

static void set_gather(void *op, int way)
{
  (void)way;
  ((Gather *)op)->count = 3;
}

static void set_cross_entropy_backward(void *op, int way) { ((CrossEntropyBackward *)op)->l2wrap = way == 1 ? 1e-2 : 0; }

static void set_adamw(void *arg, int way)
{
  Adamw *op = arg;
  (void)way;
  op->scale = 0.5, op->lr = 1e-3, op->beta1 = 0.9, op->beta2 = 0.99, op->eps = 1e-8, op->decay = 0.1;
  op->unbias1 = 0.5, op->unbias2 = 0.3;
}

static void set_wkv2(void *op, int way)
{
  (void)way;
  ((Wkv2 *)op)->eps = 1e-9;
}

static void set_wkv4(void *arg, int way) /* one decay for all tokens, or one for each */
{
  Wkv4 *op = arg;
  op->decay_rows = way < 2 ? 1 : op->B * op->T;
}

static void set_wkv6(void *arg, int way) /* v6 with a decay for every token; v5 with one for all */
{
  Wkv6 *op = arg;
  op->decay_rows = way == 1 ? 1 : op->B * op->T;
}

/* ---- numbers ---- */

static real *numbers(Call *c, const char *name) { return call_operand(c, name)->data; }
static bool is_extreme(const Call *c) { return c->setting.mode == EXTREME; }

#define EACH_NUMBER(c, name, x)                                                                              \
  for (real *x = numbers(c, name), *end_ = x + call_operand(c, name)->count; x < end_; x++)

static void scale(Call *c, const char *name, double by)
{
  EACH_NUMBER(c, name, x) *x *= (real)by;
}

static void positive(Call *c, const char *name)
{
  EACH_NUMBER(c, name, x) *x = (real)(fabs((double)*x) + 1e-3);
}

/* so that some are equal, and many 0 */
static void whole(Call *c, const char *name)
{
  EACH_NUMBER(c, name, x) *x = (real)rint((double)*x);
}

/* <= 0; EXTREME: none at all, next to none, and all at once */
static void log_decay(Call *c, const char *name, double by)
{
  static const real bounds[] = {0, (real)-1e-8, -30, -2000};
  size_t i = 0;
  EACH_NUMBER(c, name, x)
  {
    *x = is_extreme(c) && i % 5 < 4 ? bounds[i % 5] : (real)-(by * fabs((double)*x));
    i++;
  }
}

/* lowest .. below - 1 */
static void indices(Call *c, const char *name, int lowest, size_t below)
{
  const Operand *o = call_operand(c, name);
  for (size_t i = 0; i < o->count; i++) ((int *)o->data)[i] = lowest + (int)rng_below(&c->rng, below - (size_t)lowest);
}

static void unary_values(Call *c)
{
  const Unary *op = (const void *)c->op;
  real *x = numbers(c, "x");
  if (op->kind == U_LOG || op->kind == U_SQRT) positive(c, "x");
  if (is_extreme(c) && op->n > 16 && op->kind != U_MISH && op->kind != U_SILU)
    x[5] = (real)INFINITY, x[6] = (real)-INFINITY;
}

static void unary_backward_values(Call *c)
{
  const UnaryBackward *op = (const void *)c->op;
  real *x = numbers(c, "forward.x"), *y = numbers(c, "forward.y");
  for (size_t i = 0; i < op->forward.n; i++)
    if (isinf(x[i]) || isinf(y[i])) x[i] = 1, y[i] = (real)k_unary_functions[op->forward.kind].f(1);
}

static void binary_values(Call *c)
{
  const Binary *op = (const void *)c->op;
  if (op->kind != B_DIV) return;
  EACH_NUMBER(c, "b", b) *b += *b < 0 ? (real)-0.1 : (real)0.1;
}

static void compare_values(Call *c) { whole(c, "a"), whole(c, "b"); }
static void choose_values(Call *c) { whole(c, "mask"); }

static void linear_values(Call *c)
{
  if (call_way(c) < 1) call_leave_out(c, "bias");
}

static void linear_backward_values(Call *c)
{
  if (call_way(c) == BENCH) call_leave_out(c, "gbias");
}

static void linear_packed_values(Call *c)
{
  if (call_way(c) < STORAGE_COUNT) call_leave_out(c, "bias");
}

static void rows_values(Call *c) { indices(c, "index", 0, 50); }
static void gather_values(Call *c) { indices(c, "index", 0, ((const Gather *)(const void *)c->op)->n); }

static void l2norm_values(Call *c) /* a vector of nothing, and one that is shorter than eps */
{
  const L2Norm *op = (const void *)c->op;
  real *x = numbers(c, "x");
  if (op->groups > 1 && is_extreme(c))
    for (size_t i = 0; i < op->N; i++) x[i] = 0, x[op->N + i] = (real)1e-20;
}

static void l2norm_backward_values(Call *c)
{
  const L2Norm *op = &((const L2NormBackward *)(const void *)c->op)->forward;
  for (size_t i = 0; op->groups > 1 && is_extreme(c) && i < 2 * op->N; i++) numbers(c, "g")[i] *= (real)1e-10;
}

static void cross_entropy_values(Call *c)
{
  const CrossEntropy *op = (const void *)c->op;
  scale(c, "logits", 3);
  indices(c, "target", op->rows > 4 ? -1 : 0, op->V);
}

static void argmax_values(Call *c)
{
  if (call_way(c) == 1) whole(c, "x");
}

static void adamw_values(Call *c)
{
  scale(c, "m", 0.1);
  EACH_NUMBER(c, "v", v) *v *= *v * (real)0.01;
}

static void copy_scores_values(Call *c) /* the last row sees everything of the last sequence */
{
  const CopyScores *op = (const void *)c->op;
  indices(c, "token", 0, op->V);
  indices(c, "batch", 0, op->B);
  indices(c, "limit", 0, op->U + 1);
  ((int *)call_operand(c, "batch")->data)[op->rows - 1] = (int)op->B - 1;
  ((int *)call_operand(c, "limit")->data)[op->rows - 1] = (int)op->U;
}

static void wkv1_values(Call *c) { positive(c, "k"); }

static void wkv2_values(Call *c)
{
  positive(c, "e");
  positive(c, "b0");
  log_decay(c, "w", 1);
}

static void wkv4_values(Call *c) /* a state of something, or the one before the first token */
{
  log_decay(c, "w", 1);
  bool fresh = call_way(c) % 2 == 1;
  EACH_NUMBER(c, "b0", b) *b = fresh ? 0 : (real)(fabs((double)*b) + 0.1);
  if (!fresh) return;
  EACH_NUMBER(c, "a0", a) *a = 0;
  EACH_NUMBER(c, "p0", p) *p = (real)-1e38;
}

static void wkv6_values(Call *c) { log_decay(c, "w", 0.5); }

/* As RWKV-7 has it: a = -kappa of length 1, b = kappa times a rate in (0,1). */
static void wkv7_values(Call *c)
{
  const Wkv7 *op = (const void *)c->op;
  real *a = numbers(c, "a"), *b = numbers(c, "b");
  log_decay(c, "w", 0.3);
  for (size_t i = 0; i < op->B * op->T * op->H; i++, a += op->N, b += op->N) {
    double square = 1e-12;
    for (size_t j = 0; j < op->N; j++) square += (double)a[j] * (double)a[j];
    for (size_t j = 0; j < op->N; j++) {
      a[j] = (real)((double)a[j] / sqrt(square));
      b[j] = -a[j] / (real)(1 + exp((double)b[j]));
    }
  }
}

static void scan_values(Call *c)
{
  scale(c, "delta", 0.5);
  positive(c, "delta");
  log_decay(c, "A", 1);
}

/* ---- the table ---- */

#define SIZES(Struct, first, table)                                                                          \
  .at = offsetof(Struct, first), .sizes = table[0], .rows = sizeof(table) / sizeof *(table),                \
  .width = sizeof *(table) / sizeof **(table)

const KernelCase kernel_cases[OP_COUNT] = {
    [OP_clear] = {SIZES(Clear, n, lengths), .shape = "[64,64,64]", .bench = {262144}},
    [OP_unary] = {SIZES(Unary, n, lengths), .ways = UNARY_COUNT, .set = set_unary, .values = unary_values, .wide = 40,
                  .shape = "tanh [64,64,64]", .bench = {262144}},
    [OP_unary_backward] = {.values = unary_backward_values, .wide = 1000},
    [OP_binary] = {.ways = CASTS * BINARY_COUNT, .set = set_binary, .values = binary_values, .wide = 1e4,
                   .shape = "[64,64,64] * [64]"},
    [OP_binary_backward] = {.wide = 1},
    [OP_compare] = {.ways = CASTS * COMPARE_COUNT, .set = set_compare, .values = compare_values, .wide = 1e4,
                    .shape = "[64,64,64] > [64]"},
    [OP_choose] = {SIZES(Choose, n, lengths), .values = choose_values, .wide = 1e6, .shape = "[64,64,64]",
                   .bench = {262144}},
    [OP_choose_backward] = {.wide = 1e6},
    [OP_affine] = {SIZES(Affine, n, lengths), .set = set_affine, .wide = 1e6, .shape = "[64,64,64]", .bench = {262144}},
    [OP_affine_backward] = {.wide = 1e6},
    [OP_lerp] = {SIZES(Lerp, rows, spaced), .ways = 3, .set = set_lerp, .wide = 1e3, .shape = "[64,64,64], mu [64]",
                 .bench = {4096, 1, 64}},
    [OP_lerp_backward] = {.wide = 1e3},
    [OP_linear] = {SIZES(Linear, rows, maps), .ways = 2, .values = linear_values, .shape = "[4096,64] [64,64]",
                   .bench = {4096, 64, 64}},
    [OP_linear_backward] = {.ways = 1, .values = linear_backward_values},
    [OP_matmul] = {SIZES(Matmul, rows, maps), .shape = "[4096,64] [64,64]", .bench = {4096, 64, 64}},
    [OP_rows] = {SIZES(Rows, count, spaced), .set = set_rows, .values = rows_values, .wide = 1e6,
                 .shape = "4096 of [50,64]", .bench = {4096, 50, 64}},
    [OP_rows_backward] = {.wide = 1e3},
    [OP_linear_packed] = {SIZES(LinearPacked, rows, maps), .ways = 2 * STORAGE_COUNT, .set = set_linear_packed,
                          .values = linear_packed_values, .shape = "[1,768] [768,768] bf16", .bench = {1, 768, 768}},
    [OP_matmul_packed] = {SIZES(MatmulPacked, rows, maps), .ways = STORAGE_COUNT, .set = set_matmul_packed,
                          .shape = "[1,768] [768,768] bf16", .bench = {1, 768, 768}},
    [OP_rows_packed] = {SIZES(RowsPacked, count, spaced), .ways = STORAGE_COUNT, .set = set_rows_packed,
                        .values = rows_values, .shape = "4096 of [50,64] bf16", .bench = {4096, 50, 64}},
    [OP_norm] = {SIZES(Norm, rows, spaced), .ways = 2, .set = set_norm, .wide = 1e4, .shape = "[4096,64]",
                 .bench = {4096, 1, 64}},
    [OP_norm_backward] = {.set = set_norm_backward},
    [OP_l2norm] = {SIZES(L2Norm, groups, sheets), .set = set_l2norm, .values = l2norm_values, .wide = 1e4,
                   .shape = "[4096,64]", .bench = {4096, 64}},
    [OP_l2norm_backward] = {.values = l2norm_backward_values, .wide = 10},
    [OP_shift] = {SIZES(Shift, B, cubes), .wide = 1e6, .shape = "[64,64,64]", .bench = {64, 64, 64}},
    [OP_shift_backward] = {.wide = 1e6},
    [OP_slice] = {SIZES(Slice, outer, cubes), .set = set_slice, .wide = 1e6, .shape = "[64,64,64]",
                  .bench = {64, 64, 64}},
    [OP_slice_add] = {SIZES(Slice, outer, cubes), .set = set_slice, .wide = 1e6, .shape = "[64,64,64]",
                      .bench = {64, 64, 64}},
    [OP_unslice] = {SIZES(Unslice, outer, cubes), .set = set_unslice, .wide = 1e6, .shape = "[64,64,64]",
                    .bench = {64, 64, 64}},
    [OP_unslice_add] = {SIZES(Unslice, outer, cubes), .set = set_unslice, .wide = 1e6, .shape = "[64,64,64]",
                        .bench = {64, 64, 64}},
    [OP_sum] = {SIZES(Sum, outer, cubes), .ways = 2, .set = set_sum, .wide = 1e3, .shape = "[64,64,64] over T",
                .bench = {64, 64, 64}},
    [OP_sum_backward] = {.wide = 1e3},
    [OP_cumsum] = {SIZES(Cumsum, outer, cubes), .wide = 1e3, .shape = "[64,64,64] over T", .bench = {64, 64, 64}},
    [OP_cumsum_backward] = {.wide = 1e3},
    [OP_permute] = {SIZES(Permute, n, permutes), .shape = "[64,64,8,64] to heads",
                    .bench = {64, 8, 64, 64, 32768, 64, 512, 1}},
    [OP_max] = {SIZES(Max, outer, cubes), .shape = "[64,64,64] over T", .bench = {64, 64, 64}},
    [OP_gather] = {SIZES(Gather, rows, sheets), .set = set_gather, .values = gather_values,
                   .shape = "3 of each of [4096,64]", .bench = {4096, 64}},
    [OP_softmax] = {SIZES(Softmax, rows, sheets), .shape = "[4096,64]", .bench = {4096, 64}},
    [OP_bmm] = {SIZES(Bmm, batch, matrices), .shape = "64 times [64,64] [64,64]",
                .bench = {64, 64, 64, 64, 4096, 4096}},
    [OP_cross_entropy] = {SIZES(CrossEntropy, rows, sheets), .values = cross_entropy_values, .shape = "[512,256]",
                          .bench = {512, 256}},
    [OP_cross_entropy_backward] = {.ways = 2, .set = set_cross_entropy_backward},
    [OP_argmax] = {SIZES(Argmax, rows, sheets), .ways = 2, .values = argmax_values, .wide = 1e3, .shape = "[512,256]",
                   .bench = {512, 256}},
    [OP_adamw] = {SIZES(Adamw, n, long_lengths), .set = set_adamw, .values = adamw_values, .shape = "262144",
                  .bench = {262144}},
    [OP_sum_squares] = {SIZES(SumSquares, n, long_lengths), .wide = 1e6, .shape = "262144", .bench = {262144}},
    [OP_copy_scores] = {SIZES(CopyScores, rows, copies), .values = copy_scores_values,
                        .shape = "512 rows, U D 64, V 256", .bench = {512, 64, 64, 64, 256}},
    [OP_copy_scores_backward] = {.wide = 1},
    [OP_linear_attention] = {SIZES(LinearAttention, B, linear_attentions), .shape = "B T C 64, D 8",
                             .bench = {64, 64, 64, 8, 64}},
    [OP_linear_attention_backward] = {.wide = 1},
    [OP_attention] = {SIZES(Attention, B, attentions), .optional = "log_sum", .wide = 10, .loose = 4,
                      .shape = "B T N 64, H 1", .bench = {64, 64, 64, 1, 64}},
    [OP_attention_backward] = {.wide = 10, .loose = 10},
    [OP_wkv1] = {SIZES(Wkv1, B, wkv1s), .values = wkv1_values, .wide = 10, .shape = "B T N 64, H 1",
                 .bench = {64, 64, 64, 1, 64, 64}},
    [OP_wkv1_backward] = {.wide = 1, .loose = 4},
    [OP_wkv2] = {SIZES(Wkv2, B, channels), .set = set_wkv2, .values = wkv2_values, .optional = "trace", .wide = 10,
                 .shape = "B T C 64", .bench = {64, 64, 64}},
    [OP_wkv2_backward] = {.optional = "gy ga1 gb1", .wide = 1},
    [OP_wkv4] = {SIZES(Wkv4, B, channels), .ways = 4, .set = set_wkv4, .values = wkv4_values, .optional = "trace",
                 .wide = 30, .loose = 4, .shape = "B T C 64", .bench = {64, 64, 64}},
    [OP_wkv4_backward] = {.optional = "gy ga1 gb1 gp1", .wide = 1, .loose = 10},
    [OP_wkv6] = {SIZES(Wkv6, B, heads), .ways = 2, .set = set_wkv6, .values = wkv6_values, .optional = "segments",
                 .wide = 30, .shape = "B T N 64, H 1", .bench = {64, 64, 1, 64}},
    [OP_wkv6_backward] = {.optional = "gy gS1", .wide = 1},
    [OP_wkv7] = {SIZES(Wkv7, B, heads), .values = wkv7_values, .optional = "segments", .wide = 30,
                 .shape = "B T N 64, H 1", .bench = {64, 64, 1, 64}},
    [OP_wkv7_backward] = {.optional = "gy gS1", .wide = 1},
    [OP_selective_scan] = {SIZES(SelectiveScan, B, scans), .values = scan_values, .optional = "segments", .wide = 30,
                           .shape = "B T D 64, N 16", .bench = {64, 64, 64, 16}},
    [OP_selective_scan_backward] = {.optional = "gy gh1", .wide = 1},
};

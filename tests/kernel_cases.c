#include "kernel_cases.h"
#include "kernel_sizes.h"
#include "step_programs.h"

#include <math.h>

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

static void set_lerp(void *arg, int way)
{
  Lerp *op = arg;
  if (way == 1) op->mu_rows = op->rows;
  if (way == 2 && op->rows % 5 == 0) op->mu_rows = 5;
}

static Storage storage(int way) { return way == BENCH ? STORED_BF16 : (Storage)(way % STORAGE_COUNT); }
/* Each way with factors in full, then all of them with factors in bfloat16. */
static Factors factors(int way, int ways) { return way == BENCH || way < ways ? FACTORS_FULL : FACTORS_BF16; }
static void set_linear(void *op, int way) { ((Linear *)op)->factors = factors(way, 2); }
static void set_linear_backward(void *op, int way) { ((LinearBackward *)op)->forward.factors = factors(way, 1); }
static void set_matmul(void *op, int way) { ((Matmul *)op)->factors = factors(way, 1); }
static void set_head_loss(void *op, int way) { ((HeadLoss *)op)->factors = factors(way, 1); }
static void set_head_loss_backward(void *op, int way) { ((HeadLossBackward *)op)->l2wrap = way == 1 ? 1e-2 : 0; }

static void set_linear_packed(void *op, int way)
{
  ((LinearPacked *)op)->w.storage = storage(way);
  ((LinearPacked *)op)->factors = factors(way, 2 * STORAGE_COUNT);
}
static void set_matmul_packed(void *op, int way)
{
  ((MatmulPacked *)op)->m.storage = storage(way);
  ((MatmulPacked *)op)->factors = factors(way, STORAGE_COUNT);
}
static void set_rows_packed(void *op, int way) { ((RowsPacked *)op)->table.storage = storage(way); }

static void set_norm(void *op, int way)
{
  if (way == 1) ((Norm *)op)->H = 3;
}

static void set_norm_backward(void *arg, int way)
{
  Norm *op = &((NormBackward *)arg)->forward;
  (void)way;
  if (op->N == 1) op->eps = 1; /* of one number only rounding is left */
}

static void set_sum(void *arg, int way)
{
  Sum *op = arg;
  if (way == 1) op->size *= op->inner, op->inner = 1;
}

static void set_cross_entropy_backward(void *op, int way)
{
  ((CrossEntropyBackward *)op)->l2wrap = way == 1 ? 1e-2 : 0;
}

static void set_wkv4(void *arg, int way) /* one decay for all tokens, or one for each */
{
  Wkv4 *op = arg;
  op->decay_rows = way < 2 ? 1 : op->B * op->T;
}

static void set_rosa(void *arg, int way) { ((Rosa *)arg)->none_low = way == 1; }

static void set_rosa_backward(void *arg, int way) /* of q, k and v; of one in the place of all three */
{
  ((RosaBackward *)arg)->self = way == 1;
}

static void set_wkv6(void *arg, int way) /* v6 with a decay for every token; v5 with one for all */
{
  Wkv6 *op = arg;
  op->decay_rows = way == 1 ? 1 : op->B * op->T;
}

static const struct {
  StepProgramName program;
  int N;
} steps_ways[] = {{STEPS_SMALL, 4},  {STEPS_V7, 1},      {STEPS_V7, 3},       {STEPS_V7, 64},
                  {STEPS_V6, 17},    {STEPS_V6, 64},     {STEPS_V6, 8},       {STEPS_V4, 5},
                  {STEPS_V4, 64},    {STEPS_MIXED, 1},   {STEPS_MIXED, 3},    {STEPS_MIXED, 16},
                  {STEPS_MIXED, 20}, {STEPS_CARRIED, 5}, {STEPS_CARRIED, 64}, {STEPS_V7, 100}};

static void set_steps(void *arg, int way)
{
  Steps *op = arg;
  op->program = way == BENCH ? step_program(STEPS_V7, 64) : step_program(steps_ways[way].program, steps_ways[way].N);
}

static void set_bounds(void *arg, int way) /* finite ones; in a range, on one side or both */
{
  Bounds *op = arg;
  op->low = way == 1 ? -1 : -(acc)INFINITY;
  op->high = way == 1 || way == 2 ? 1 : (acc)INFINITY;
  op->rule = way == 3 ? ALSO_NAN : way == 4 ? ALSO_INFINITE : way == 5 ? ONLY_ENDS : 0;
}

/* ---- numbers ---- */

static real *numbers(Call *c, const char *name) { return call_operand(c, name)->data; }
static bool is_extreme(const Call *c) { return c->setting.mode == EXTREME; }

#define EACH_NUMBER(c, name, x) \
  for (real *x = numbers(c, name), *end_ = x + call_operand(c, name)->count; x < end_; x++)

static void scale(Call *c, const char *name, double by) { EACH_NUMBER(c, name, x) *x *= (real)by; }

static void positive(Call *c, const char *name) { EACH_NUMBER(c, name, x) *x = (real)(fabs((double)*x) + 1e-3); }

/* so that some are equal, and many 0 */
static void whole(Call *c, const char *name) { EACH_NUMBER(c, name, x) *x = (real)rint((double)*x); }

/* <= 0; EXTREME: none at all, next to none, and all at once */
static void log_decay(Call *c, const char *name, double by)
{
  static const real bounds[] = {0, (real)-1e-8, -30, -2000};
  size_t i = 0;
  EACH_NUMBER(c, name, x)
  {
    *x = is_extreme(c) && i % 5 < 4 ? bounds[i % 5] : (real) - (by * fabs((double)*x));
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
  if (call_way(c) % 2 == 0) call_leave_out(c, "bias");
}

static void linear_backward_values(Call *c)
{
  if (call_way(c) == BENCH) call_leave_out(c, "gbias");
}

static void linear_packed_values(Call *c)
{
  if (call_way(c) / STORAGE_COUNT % 2 == 0) call_leave_out(c, "bias");
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

static void head_loss_values(Call *c)
{
  const HeadLoss *op = (const void *)c->op;
  indices(c, "target", op->rows > 4 ? -1 : 0, op->V);
}

static void largest_values(Call *c) /* the first of equals is asked for */
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

/* Runs of whole numbers. The last sequence asks at every place for what k has there, or had at the one before: a long
   run. */
static void rosa_values(Call *c)
{
  const Rosa *op = (const void *)c->op;
  const real *k = numbers(c, "k");
  real *q = numbers(c, "q");
  size_t C = op->G * op->bits, first = (op->B - 1) * op->U * C;
  EACH_NUMBER(c, "before", n) *n = (real)floor(fmod(fabs(1e3 * (double)*n), 4));
  size_t back = call_way(c) == 1 ? C : 0;
  for (size_t i = back; i < op->U * C; i++) q[first + i] = k[first + i - back];
}

static void attention_values(Call *c)
{
  if (is_extreme(c)) scale(c, "v", 10);
}

static void wkv1_values(Call *c)
{
  if (is_extreme(c)) scale(c, "k", 100);
  positive(c, "k");
}

static void wkv2_values(Call *c)
{
  if (is_extreme(c)) scale(c, "e", 1000);
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

/* Inputs are in the order of their names: a b k r v w of v7, k r v w u of v6, k v u w of v4. */
static void steps_values(Call *c)
{
  int way = call_way(c);
  StepProgramName program = way == BENCH ? STEPS_V7 : steps_ways[way].program;
  if (program == STEPS_V7) scale(c, "in[0]", 0.1), scale(c, "in[1]", 0.1), log_decay(c, "in[5]", 0.3);
  if (program == STEPS_V6) log_decay(c, "in[3]", 0.5);
  if (program == STEPS_V4) {
    log_decay(c, "in[3]", 1);
    positive(c, "S0");
  }
}

/* Few are outside: the first one of them may be anywhere, or nowhere. */
static void bounds_values(Call *c)
{
  if (!is_extreme(c)) scale(c, "x", 0.25);
}

/* ---- the table ---- */

static const Adamw adamw = {
    .scale = 0.5, .lr = 1e-3, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .decay = 0.1, .unbias1 = 0.5, .unbias2 = 0.3};

#define SIZES(Struct, first, table)                                                          \
  .at = offsetof(Struct, first), .sizes = table[0], .rows = sizeof(table) / sizeof *(table), \
  .width = sizeof *(table) / sizeof **(table)

const KernelCase kernel_cases[OP_COUNT] = {
    [OP_clear] = {SIZES(Clear, n, lengths), .shape = "[64,64,64]", .bench = {262144}},
    [OP_unary] = {SIZES(Unary, n, lengths), .ways = UNARY_COUNT, .set = set_unary, .values = unary_values, .wide = 40,
                  .shape = "tanh [64,64,64]", .bench = {262144}},
    [OP_unary_backward] = {.values = unary_backward_values, .wide = 1000},
    [OP_binary] = {.rows = 1,
                   .ways = CASTS * BINARY_COUNT,
                   .set = set_binary,
                   .values = binary_values,
                   .wide = 1e4,
                   .shape = "[64,64,64] * [64]"},
    [OP_binary_backward] = {.wide = 1},
    [OP_compare] = {.rows = 1,
                    .ways = CASTS * COMPARE_COUNT,
                    .set = set_compare,
                    .values = compare_values,
                    .wide = 1e4,
                    .shape = "[64,64,64] > [64]"},
    [OP_choose] = {SIZES(Choose, n, lengths), .values = choose_values, .wide = 1e6, .shape = "[64,64,64]",
                   .bench = {262144}},
    [OP_choose_backward] = {.wide = 1e6},
    [OP_affine] = {SIZES(Affine, n, lengths), .start = &(const Affine){.scale = -0.75, .offset = 1.25}, .wide = 1e6,
                   .shape = "[64,64,64]", .bench = {262144}},
    [OP_affine_backward] = {.wide = 1e6},
    [OP_lerp] = {SIZES(Lerp, rows, spaced), .ways = 3, .set = set_lerp, .wide = 1e3, .shape = "[64,64,64], mu [64]",
                 .bench = {4096, 1, 64}},
    [OP_lerp_backward] = {.wide = 1e3},
    [OP_linear] = {SIZES(Linear, rows, maps), .ways = 4, .set = set_linear, .rounded = 2, .values = linear_values,
                   .shape = "[4096,64] [64,64]", .bench = {4096, 64, 64}},
    [OP_linear_backward] = {.ways = 2, .set = set_linear_backward, .rounded = 1, .values = linear_backward_values},
    [OP_matmul] = {SIZES(Matmul, rows, maps), .ways = 2, .set = set_matmul, .rounded = 1, .shape = "[4096,64] [64,64]",
                   .bench = {4096, 64, 64}},
    [OP_rows] = {SIZES(Rows, count, lookups), .values = rows_values, .wide = 1e6, .shape = "4096 of [50,64]",
                 .bench = {4096, 50, 64}},
    [OP_rows_backward] = {.wide = 1e3},
    [OP_linear_packed] = {SIZES(LinearPacked, rows, maps), .ways = 4 * STORAGE_COUNT, .set = set_linear_packed,
                          .rounded = 2 * STORAGE_COUNT, .values = linear_packed_values, .wide = 1e3,
                          .shape = "[1,768] [768,768] bf16", .bench = {1, 768, 768}},
    [OP_matmul_packed] = {SIZES(MatmulPacked, rows, maps), .ways = 2 * STORAGE_COUNT, .set = set_matmul_packed,
                          .rounded = STORAGE_COUNT, .wide = 1e3, .shape = "[1,768] [768,768] bf16",
                          .bench = {1, 768, 768}},
    [OP_rows_packed] = {SIZES(RowsPacked, count, lookups), .ways = STORAGE_COUNT, .set = set_rows_packed,
                        .values = rows_values, .wide = 1e3, .shape = "4096 of [50,64] bf16", .bench = {4096, 50, 64}},
    [OP_norm] = {SIZES(Norm, rows, spaced), .ways = 2, .start = &(const Norm){.eps = 1e-5}, .set = set_norm,
                 .wide = 1e4, .shape = "[4096,64]", .bench = {4096, 1, 64}},
    [OP_norm_backward] = {.set = set_norm_backward},
    [OP_l2norm] = {SIZES(L2Norm, groups, sheets), .start = &(const L2Norm){.eps = 1e-12}, .values = l2norm_values,
                   .wide = 1e4, .shape = "[4096,64]", .bench = {4096, 64}},
    [OP_l2norm_backward] = {.values = l2norm_backward_values, .wide = 10},
    [OP_shift] = {SIZES(Shift, B, cubes), .wide = 1e6, .shape = "[64,64,64]", .bench = {64, 64, 64}},
    [OP_shift_backward] = {.wide = 1e6},
    [OP_conv] = {SIZES(Conv, B, convs), .wide = 1e4, .shape = "[64,64,64], 4 wide", .bench = {64, 64, 64, 4}},
    [OP_slice] = {SIZES(Slice, outer, halves), .wide = 1e6, .shape = "[64,64,64]", .bench = {64, 64, 64, 32, 32}},
    [OP_slice_add] = {SIZES(Slice, outer, halves), .wide = 1e6, .shape = "[64,64,64]", .bench = {64, 64, 64, 32, 32}},
    [OP_unslice] = {SIZES(Unslice, outer, halves), .wide = 1e6, .shape = "[64,64,64]", .bench = {64, 64, 64, 32, 32}},
    [OP_unslice_add] = {SIZES(Unslice, outer, halves), .wide = 1e6, .shape = "[64,64,64]",
                        .bench = {64, 64, 64, 32, 32}},
    [OP_sum] = {SIZES(Sum, outer, cubes), .ways = 2, .start = &(const Sum){.scale = 0.3}, .set = set_sum, .wide = 1e3,
                .shape = "[64,64,64] over T", .bench = {64, 64, 64}},
    [OP_sum_backward] = {.wide = 1e3},
    [OP_cumsum] = {SIZES(Cumsum, outer, cubes), .wide = 1e3, .shape = "[64,64,64] over T", .bench = {64, 64, 64}},
    [OP_cumsum_backward] = {.wide = 1e3},
    [OP_permute] = {SIZES(Permute, n, permutes), .shape = "[64,64,8,64] to heads",
                    .bench = {64, 8, 64, 64, 32768, 64, 512, 1}},
    [OP_max] = {SIZES(Max, outer, cubes), .ways = 2, .values = largest_values, .shape = "[64,64,64] over T",
                .bench = {64, 64, 64}},
    [OP_gather] = {SIZES(Gather, rows, sheets), .start = &(const Gather){.count = 3}, .values = gather_values,
                   .shape = "3 of each of [4096,64]", .bench = {4096, 64}},
    [OP_softmax] = {SIZES(Softmax, rows, sheets), .shape = "[4096,64]", .bench = {4096, 64}},
    [OP_bmm] = {SIZES(Bmm, batch, matrices), .shape = "64 times [64,64] [64,64]",
                .bench = {64, 64, 64, 64, 4096, 4096}},
    [OP_cross_entropy] = {SIZES(CrossEntropy, rows, sheets), .values = cross_entropy_values, .shape = "[512,256]",
                          .bench = {512, 256}},
    [OP_cross_entropy_backward] = {.ways = 2, .set = set_cross_entropy_backward},
    [OP_head_loss] = {SIZES(HeadLoss, rows, maps), .ways = 2, .set = set_head_loss, .rounded = 1,
                      .values = head_loss_values, .optional = "gx gw", .wide = 2, .loose = 3, .loose_rounded = 400,
                      .shape = "[512,64] [8192,64]", .bench = {512, 64, 8192}},
    [OP_head_loss_backward] = {.ways = 2, .set = set_head_loss_backward},
    [OP_argmax] = {SIZES(Argmax, rows, sheets), .ways = 2, .values = largest_values, .wide = 1e3, .shape = "[512,256]",
                   .bench = {512, 256}},
    [OP_bounds] = {SIZES(Bounds, n, lengths), .ways = 6, .set = set_bounds, .values = bounds_values, .wide = 1e6,
                   .shape = "262144", .bench = {262144}},
    [OP_adamw] = {SIZES(Adamw, n, long_lengths), .start = &adamw, .values = adamw_values, .wide = 1e3,
                  .shape = "262144", .bench = {262144}},
    [OP_sum_squares] = {SIZES(SumSquares, n, long_lengths), .wide = 1e6, .shape = "262144", .bench = {262144}},
    [OP_copy_scores] = {SIZES(CopyScores, rows, copies), .values = copy_scores_values,
                        .shape = "512 rows, U D 64, V 256", .bench = {512, 64, 64, 64, 256}},
    [OP_copy_scores_backward] = {.wide = 1},
    [OP_linear_attention] = {SIZES(LinearAttention, B, linear_attentions), .shape = "B T C 64, D 8",
                             .bench = {64, 64, 64, 8, 64}},
    [OP_linear_attention_backward] = {.wide = 1},
    [OP_rosa] = {SIZES(Rosa, B, rosas), .ways = 2, .set = set_rosa, .values = rosa_values, .wide = 1,
                 .shape = "B 4, T 64, 16 symbols of 4 bits", .bench = {4, 64, 64, 16, 4}},
    [OP_rosa_backward] = {.set = set_rosa_backward, .optional = "gq gk gv glow ghigh", .wide = 1},
    [OP_attention] = {SIZES(Attention, B, attentions), .values = attention_values, .optional = "log_sum", .wide = 10,
                      .loose = 4, .shape = "B T N 64, H 1", .bench = {64, 64, 64, 1, 64}},
    [OP_attention_backward] = {.wide = 10, .loose = 10},
    [OP_wkv1] = {SIZES(Wkv1, B, wkv1s), .values = wkv1_values, .wide = 10, .shape = "B T N 64, H 1",
                 .bench = {64, 64, 64, 1, 64, 64}},
    [OP_wkv1_backward] = {.wide = 1, .loose = 4},
    [OP_wkv2] = {SIZES(Wkv2, B, channels), .start = &(const Wkv2){.eps = 1e-9}, .values = wkv2_values,
                 .optional = "trace", .wide = 10, .shape = "B T C 64", .bench = {64, 64, 64}},
    [OP_wkv2_backward] = {.optional = "gy ga1 gb1", .wide = 1},
    [OP_wkv4] = {SIZES(Wkv4, B, channels), .ways = 4, .set = set_wkv4, .values = wkv4_values, .optional = "trace",
                 .wide = 60, .loose = 4, .shape = "B T C 64", .bench = {64, 64, 64}},
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
    [OP_steps] = {SIZES(Steps, B, steps_sizes), .ways = (int)(sizeof steps_ways / sizeof *steps_ways), .set = set_steps,
                  .values = steps_values, .optional = "segments", .wide = 10, .loose = 10, .shape = "v7: B T N 64, H 1",
                  .bench = {64, 64, 1}},
    [OP_steps_backward] = {.optional = "gy gS1", .wide = 1, .loose = 10},
};

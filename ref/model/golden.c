#include "golden.h"

#include "engine/err.h"
#include "io/compare.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct {
  Model *m;
  TensorFile *file;
  double tol;
  GoldenLine *lines;
  int count;
  Tape *tp;
  int B, T, *tokens, *targets; /* targets: NULL if the file has none */
  State *sequence;             /* after the tokens, run at once */
  Tensor *logits, *loss;
  /* Token by token: the state after, and the logits [B,T,V]. A version whose decay official inference code rounds
     runs twice; [1] is with the rounded one. */
  State *recurrent[2];
  Tensor *stepwise[2];
  int runs;
  int bent; /* elements of gradients that were compared as differences */
} Run;

/* Of finite differences: five points at this step. */
#define FD_STEP 1e-4
#define FD_TOLERANCE 1e-6

/* The kinds that official inference code makes, and what they are called in the rounded run. */
static const struct {
  const char *kind, *rounded;
} inference[] = {{"logits_rnn", "logits_rnn (0.606531)"},
                 {"logits_rnn_f32", "logits_rnn_f32 (0.606531)"},
                 {"state", "state (0.606531)"}};

bool golden_line_ok(const GoldenLine *l) { return !l->problem[0] && l->worst <= l->tol; }

static GoldenLine *find_line(Run *r, const char *kind)
{
  for (int i = 0; i < r->count; i++)
    if (strcmp(r->lines[i].kind, kind) == 0) return &r->lines[i];
  return NULL;
}

static GoldenLine *line_for(Run *r, const char *kind)
{
  if (find_line(r, kind)) return find_line(r, kind);
  if (r->count == GOLDEN_MAX_LINES) return &r->lines[r->count - 1]; /* enough is wrong by now to share a line */
  GoldenLine *l = &r->lines[r->count++];
  *l = (GoldenLine){.tol = r->tol};
  snprintf(l->kind, sizeof l->kind, "%s", kind);
  return l;
}

static void problem(Run *r, const char *kind, const char *why)
{
  snprintf(line_for(r, kind)->problem, sizeof r->lines->problem, "%s", why);
}

/* found: the numbers of the model that the tensor e of the file is compared with; there are as many. */
static void compare_with(Run *r, const char *kind, const FileTensor *e, CompareNumbers found)
{
  GoldenLine *l = line_for(r, kind);
  ArenaMark mark = arena_mark(&r->tp->arena);
  double *expected = arena_alloc(&r->tp->arena, e->n * sizeof *expected);
  file_read_doubles(r->file, e, expected);
  Comparison c = {found, compare_doubles(expected), .n = e->n, .all = e->n, .period = e->n, .positions = 1, .row = 1};
  Difference d = compare_numbers(&c);
  l->tensors++;
  l->worst_abs = fmax(l->worst_abs, d.worst_absolute);
  l->worst_rel = fmax(l->worst_rel, d.worst_relative);
  if (e->n && (d.worst > l->worst || !l->at[0])) {
    l->worst = d.worst, l->index = d.at, l->expected = expected[d.at];
    found.read(found.from, d.at, 1, &l->found);
    snprintf(l->at, sizeof l->at, "%s", e->name);
  }
  arena_rewind(&r->tp->arena, mark);
}

static void compare_all(Run *r, const char *kind, const FileTensor *e, CompareNumbers found, const Tensor *shape)
{
  char why[200];
  snprintf(why, sizeof why, "%s has %zu numbers, the model's has shape %s", e->name, e->n, tensor_shape(shape));
  if (e->n != shape->n) problem(r, kind, why);
  else compare_with(r, kind, e, found);
}

static void compare_values(Run *r, const char *kind, const FileTensor *e, const Tensor *t)
{
  compare_all(r, kind, e, compare_tensor(t), t);
}

/* ---- the runs ---- */

static void read_tokens(Run *r)
{
  const FileTensor *tokens = file_find(r->file, "tokens"), *targets = file_find(r->file, "targets");
  if (!tokens || tokens->axes < 1 || tokens->axes > 2 || tokens->n < 1)
    rwkv_fail("%s: no tensor \"tokens\" of shape [T] or [B,T]: not a golden file", file_path(r->file));
  r->B = tokens->axes == 2 ? tokens->shape[0] : 1;
  r->T = tokens->shape[tokens->axes - 1];
  r->tokens = arena_alloc(&r->tp->arena, tokens->n * sizeof *r->tokens);
  file_read_ints(r->file, tokens, r->tokens);
  if (!targets) return;
  if (targets->n != tokens->n) rwkv_fail("%s: %zu targets for %zu tokens", file_path(r->file), targets->n, tokens->n);
  r->targets = arena_alloc(&r->tp->arena, targets->n * sizeof *r->targets);
  file_read_ints(r->file, targets, r->targets);
}

static void zero_grads(Model *m)
{
  if (m->inference) rwkv_fail("verify compares gradients too, and the weights of this model are packed for inference");
  for (int i = 0; i < m->count; i++) tensor_clear_grad(m->params[i].t);
}

static void begin_anew(Run *r)
{
  state_free(r->sequence);
  r->sequence = NULL; /* should the next line fail */
  r->sequence = state_new(r->m, r->B);
}

/* The logits, and then the loss as training has it, which makes none. */
static void run_sequence(Run *r, double l2wrap)
{
  const Batch *batch = TOKENS(r->tokens, r->B, r->T);
  begin_anew(r);
  zero_grads(r->m);
  r->tp->recording = false;
  r->logits = model_logits(r->tp, r->m, batch, r->sequence);
  if (!r->targets) return;
  begin_anew(r);
  r->tp->recording = true;
  r->loss = model_loss(r->tp, r->m, batch, r->targets, r->sequence, &(LossOptions){.l2wrap = l2wrap}, NULL);
  tape_backward(r->tp, r->loss);
}

static void run_stepwise(Run *r, int run)
{
  State *st = r->recurrent[run] = state_new(r->m, r->B);
  r->tp->recording = false;
  r->m->rounded_decay = run == 1;
  size_t V = (size_t)r->m->d.V, B = (size_t)r->B, T = (size_t)r->T;
  r->stepwise[run] = tape_tensor(r->tp, 3, (int[]){r->B, r->T, r->m->d.V});
  int *column = arena_alloc(&r->tp->arena, B * sizeof *column);
  real *row = arena_alloc(&r->tp->arena, V * sizeof *row);
  for (size_t t = 0; t < T; t++) {
    for (size_t b = 0; b < B; b++) column[b] = r->tokens[b * T + t];
    Tensor *logits = model_logits(r->tp, r->m, TOKENS(column, r->B, 1), st); /* [B,1,V] */
    for (size_t b = 0; b < B; b++) {
      tensor_read(logits, b * V, V, row);
      tensor_write(r->stepwise[run], (b * T + t) * V, V, row);
    }
  }
  r->m->rounded_decay = false;
}

/* ---- what a name means ---- */

static void compare_state(Run *r, const FileTensor *e)
{
  char name[80], part[40];
  int layer;
  const char *n = e->name;
  if (sscanf(n, "state.att.%d.%39s", &layer, part) == 2 || sscanf(n, "state.ffnPre.%d.%39s", &layer, part) == 2)
    snprintf(name, sizeof name, "%d.att_%s", layer, part);
  else if (sscanf(n, "state.ffn.%d.%39s", &layer, part) == 2) snprintf(name, sizeof name, "%d.ffn_%s", layer, part);
  else snprintf(name, sizeof name, "%s", n + strlen("state."));
  int i = state_index(r->sequence, name);
  compare_values(r, "state", e, r->sequence->now[i]);
  for (int run = 0; run < r->runs; run++) {
    Tensor *t = r->recurrent[run]->now[i];
    compare_values(r, run ? inference[2].rounded : "state", e, t);
  }
}

static void compare_stepwise(Run *r, const FileTensor *e, const char *rounded)
{
  for (int run = 0; run < (rounded ? r->runs : 1); run++)
    compare_values(r, run ? rounded : e->name, e, r->stepwise[run]);
}

typedef struct {
  const char *name;
  bool found;
} IdleParam;

static void look_for_spare(void *ctx, const LayoutParam *p)
{
  IdleParam *s = ctx;
  s->found |= layout_is_spare(p) && strcmp(p->name, s->name) == 0;
}

/* What the model has not: no gradient, if nothing depends on it (some files hold it); else a problem. */
static void compare_missing(Run *r, const char *kind, const FileTensor *e)
{
  IdleParam spare = {e->name + strlen(kind) + 1, false};
  layout_each_param(r->m->version, &r->m->d, look_for_spare, &spare);
  if (!spare.found) {
    problem(r, e->name, "the model has no such parameter");
    return;
  }
  double *zeros = arena_alloc(&r->tp->arena, e->n * sizeof *zeros);
  for (size_t i = 0; i < e->n; i++) zeros[i] = 0;
  compare_with(r, kind, e, compare_doubles(zeros));
}

static void compare_grad(Run *r, const char *kind, const FileTensor *e)
{
  Param *p = model_param(r->m, e->name + strlen(kind) + 1);
  if (!p) compare_missing(r, kind, e);
  else compare_all(r, kind, e, compare_gradient(p->t), p->t);
}

/* ---- single elements of gradients, found by finite differences: "fd.NAME" at the places "fd_index.NAME" ---- */

/* The loss with number i of a parameter moved. */
static double loss_moved(Run *r, Tensor *t, size_t i, real value, double by)
{
  real moved = (real)((double)value + by);
  tensor_write(t, i, 1, &moved);
  begin_anew(r);
  Tensor *at = model_loss(r->tp, r->m, TOKENS(r->tokens, r->B, r->T), r->targets, r->sequence, NULL, NULL);
  real loss;
  tensor_read(at, 0, 1, &loss);
  tensor_write(t, i, 1, &value);
  return (double)loss;
}

/* [f(x - 2h) - 8 f(x - h) + 8 f(x + h) - f(x + 2h)] / 12 h */
static double five_points(Run *r, Tensor *t, size_t i, double h)
{
  real x;
  tensor_read(t, i, 1, &x);
  r->tp->recording = false;
  double near = loss_moved(r, t, i, x, h) - loss_moved(r, t, i, x, -h);
  double far = loss_moved(r, t, i, x, 2 * h) - loss_moved(r, t, i, x, -2 * h);
  return (8 * near - far) / (12 * h);
}

/* Differences are not derivatives where the loss bends on the way: what the gradient misses is compared with the
   model's own differences, of the same step. found: the gradient's elements, which those replace. */
static void differences_where_off(Run *r, Tensor *t, const int *place, const double *expected, double *found, size_t n)
{
  double scale = compare_scale(compare_doubles(expected), n);
  for (size_t i = 0; i < n && sizeof(real) == sizeof(double); i++) /* of a loss in float32 they would tell nothing */
    if (compare_error(found[i], expected[i], scale) > FD_TOLERANCE) {
      found[i] = five_points(r, t, (size_t)place[i], FD_STEP);
      r->bent++;
    }
}

static void compare_differences(Run *r, const FileTensor *e)
{
  char name[PARAM_NAME + 20];
  const char *of = e->name + strlen("fd.");
  snprintf(name, sizeof name, "fd_index.%s", of);
  const FileTensor *index = file_find(r->file, name);
  Param *p = model_param(r->m, of);
  if (!p) {
    compare_missing(r, "fd", e);
    return;
  }
  if (!index || index->n != e->n) {
    snprintf(name, sizeof name, "%s has no places fd_index.%s, one for each number", e->name, of);
    problem(r, e->name, name);
    return;
  }
  int *place = arena_alloc(&r->tp->arena, e->n * sizeof *place);
  file_read_ints(r->file, index, place);
  for (size_t i = 0; i < e->n; i++)
    if (place[i] < 0 || (size_t)place[i] >= p->t->n) {
      snprintf(name, sizeof name, "place %d of %s, which has %zu numbers", place[i], of, p->t->n);
      problem(r, e->name, name);
      return;
    }
  double *found = arena_alloc(&r->tp->arena, 2 * e->n * sizeof *found), *expected = found + e->n;
  CompareNumbers gradient = compare_gradient(p->t);
  file_read_doubles(r->file, e, expected);
  for (size_t i = 0; i < e->n; i++) gradient.read(gradient.from, (size_t)place[i], 1, &found[i]);
  differences_where_off(r, p->t, place, expected, found, e->n);
  compare_with(r, "fd", e, compare_doubles(found));
}

static bool starts(const char *name, const char *with) { return strncmp(name, with, strlen(with)) == 0; }

static void compare_entry(Run *r, const FileTensor *e)
{
  const char *name = e->name;
  if (strcmp(name, "tokens") == 0 || strcmp(name, "targets") == 0 || starts(name, "grad_l2wrap.")) return;
  if (starts(name, "fd_index.") && r->targets) return;
  if (strcmp(name, "logits_gpt") == 0) compare_values(r, name, e, r->logits);
  else if (strcmp(name, "logits_rnn_exact_w") == 0) compare_stepwise(r, e, NULL);
  else if (strcmp(name, "logits_rnn") == 0) compare_stepwise(r, e, inference[0].rounded);
  else if (strcmp(name, "logits_rnn_f32") == 0) compare_stepwise(r, e, inference[1].rounded);
  else if (starts(name, "state.")) compare_state(r, e);
  else if (!r->targets && (strcmp(name, "loss") == 0 || starts(name, "grad.") || starts(name, "fd")))
    problem(r, starts(name, "grad.") ? "grad" : name, "the file has no targets");
  else if (strcmp(name, "loss") == 0) compare_values(r, name, e, r->loss);
  else if (starts(name, "grad.")) compare_grad(r, "grad", e);
  else if (starts(name, "fd.")) compare_differences(r, e);
  else problem(r, name, "this command does not know what it is");
}

/* Of the exact and the rounded run, the one that the numbers were made with: the closer one. */
static void choose_constant(Run *r)
{
  for (size_t i = 0; i < sizeof inference / sizeof *inference; i++) {
    GoldenLine *exact = find_line(r, inference[i].kind), *rounded = find_line(r, inference[i].rounded);
    if (!exact || !rounded) continue;
    GoldenLine keep = rounded->worst < exact->worst ? *rounded : *exact;
    if (rounded->worst < exact->worst) snprintf(keep.note, sizeof keep.note, "made with 0.606531 for e^-1/2");
    snprintf(keep.kind, sizeof keep.kind, "%s", inference[i].kind);
    *exact = keep;
    *rounded = r->lines[--r->count];
  }
}

/* Kinds of numbers that were made less exactly. */
static void choose_tolerances(Run *r)
{
  GoldenLine *f32 = find_line(r, "logits_rnn_f32"), *fd = find_line(r, "fd");
  if (f32) f32->tol = fmax(r->tol, 1e-4), snprintf(f32->note, sizeof f32->note, "tolerance 1e-4: made in float32");
  if (!fd) return;
  fd->tol = fmax(r->tol, FD_TOLERANCE);
  if (r->bent) snprintf(fd->note, sizeof fd->note, "tolerance 1e-6; %d as the model's own differences", r->bent);
  else snprintf(fd->note, sizeof fd->note, "tolerance 1e-6: finite differences");
}

static void every_gradient_there(Run *r)
{
  char name[PARAM_NAME + 20];
  for (int i = 0; i < r->m->count; i++) {
    const Param *p = &r->m->params[i];
    snprintf(name, sizeof name, "grad.%s", p->name);
    if (!p->unused && !file_find(r->file, name)) problem(r, name, "is not in the file");
  }
}

static void verify(void *arg)
{
  Run *r = arg;
  bool any_grad = false, any_l2wrap = false;
  read_tokens(r);
  run_sequence(r, 0);
  r->runs = r->m->version->rounds_decay ? 2 : 1;
  for (int run = 0; run < r->runs; run++) run_stepwise(r, run);
  for (int i = 0; i < file_count(r->file); i++) {
    const FileTensor *e = file_tensor(r->file, i);
    rwkv_poll();
    compare_entry(r, e);
    any_grad |= starts(e->name, "grad.");
    any_l2wrap |= starts(e->name, "grad_l2wrap.");
  }
  choose_constant(r);
  choose_tolerances(r);
  if (any_grad) every_gradient_there(r);
  if (!any_l2wrap) return;
  run_sequence(r, 1e-4);
  for (int i = 0; i < file_count(r->file); i++)
    if (starts(file_tensor(r->file, i)->name, "grad_l2wrap.")) compare_grad(r, "grad_l2wrap", file_tensor(r->file, i));
}

int golden_verify(Model *m, TensorFile *golden, double tol, GoldenLine lines[GOLDEN_MAX_LINES])
{
  Run r = {.m = m, .file = golden, .tol = tol, .lines = lines, .tp = tape_new()};
  const char *error = rwkv_protect(verify, &r);
  state_free(r.sequence);
  for (int run = 0; run < 2; run++) state_free(r.recurrent[run]);
  tape_free(r.tp);
  zero_grads(m);
  m->rounded_decay = false;
  if (error) file_fail(golden, error);
  return r.count;
}

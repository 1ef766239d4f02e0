#include "kernel_call.h"

#include "kernel_cases.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* ---- a case and its forward op ---- */

/* The op that a backward op goes back through; OP_COUNT: it is none. */
static OpId forward_of(OpId id)
{
  static const char ending[] = "_backward";
  const char *name = op_rows[id].name, *end = strstr(name, ending);
  if (!end || end[sizeof ending - 1]) return OP_COUNT;
  size_t length = (size_t)(end - name);
  if (!id || strlen(op_rows[id - 1].name) != length || strncmp(op_rows[id - 1].name, name, length))
    fail_msg("op %s does not stand after its forward op in engine/op_table.h", name);
  return (OpId)(id - 1);
}

/* `forward` is the last member of a backward op. */
static void *forward_in(void *op, OpId id) { return (char *)op + op_rows[id].bytes - op_rows[forward_of(id)].bytes; }

static const KernelCase *sizes_of(OpId id)
{
  OpId forward = forward_of(id);
  return &kernel_cases[forward == OP_COUNT ? id : forward];
}

int call_variants(OpId id)
{
  const KernelCase *own = &kernel_cases[id], *sizes = sizes_of(id);
  return (sizes->width ? sizes->rows : sizes->set != NULL) * (own->ways ? own->ways : sizes->ways ? sizes->ways : 1);
}

const char *call_shape(OpId id) { return sizes_of(id)->shape; }

int call_way(const Call *c)
{
  const KernelCase *sizes = sizes_of(c->id);
  return c->setting.variant == BENCH ? BENCH : c->setting.variant / (sizes->width ? sizes->rows : 1);
}

static void set_sizes(Call *c)
{
  const KernelCase *own = &kernel_cases[c->id], *sizes = sizes_of(c->id);
  void *op = own == sizes ? c->op : forward_in(c->op, c->id);
  for (size_t i = 0, v = (size_t)c->setting.variant; i < sizes->width; i++) {
    size_t n = c->setting.variant == BENCH ? sizes->bench[i] : sizes->sizes[v % (size_t)sizes->rows * sizes->width + i];
    memcpy((char *)op + sizes->at + i * sizeof n, &n, sizeof n);
  }
  if (sizes->set) sizes->set(op, call_way(c));
  if (own != sizes && own->set) own->set(c->op, call_way(c));
}

/* ---- operands ---- */

Operand *call_operand(Call *c, const char *name)
{
  for (int i = 0; i < c->operands; i++)
    if (strcmp(c->operand[i].name, name) == 0) return &c->operand[i];
  fail_msg("op %s has no operand %s", op_rows[c->id].name, name);
  return NULL;
}

static void point(char *op, const Operand *o, const void *data) { memcpy(op + o->at, &data, sizeof data); }

static void leave_out(Call *c, Operand *o)
{
  free(o->data);
  o->data = NULL;
  point(c->op, o, NULL);
}

void call_leave_out(Call *c, const char *name) { leave_out(c, call_operand(c, name)); }

static bool is_input(const Operand *o) { return o->access == READ || o->access == UPDATE; }
static bool is_gradient(const Operand *o) { return o->access == UPDATE && o->name[0] == 'g'; }
bool is_output(const Operand *o) { return o->data && (o->access == WRITE || o->access == UPDATE); }

static bool is_listed(const char *list, const char *name)
{
  size_t length = strlen(name);
  for (const char *at = list; at && (at = strstr(at, name)); at += length)
    if ((at == list || at[-1] == ' ') && (!at[length] || at[length] == ' ')) return true;
  return false;
}

static bool can_be_null(const Call *c, const Operand *o)
{
  int outputs = 0;
  for (int i = 0; i < c->operands; i++) outputs += is_gradient(&c->operand[i]);
  return (is_gradient(o) && outputs > 1) || is_listed(kernel_cases[c->id].optional, o->name);
}

/* Mean 0 and deviation 1. */
static double next_number(Call *c, double wide)
{
  double z = (rng_uniform(&c->rng) - 0.5) * 3.46;
  switch (c->setting.mode == EXTREME ? rng_below(&c->rng, 4) : 3) {
  case 0: return 0;
  case 1: return z * 1e-6;
  case 2: return z * wide;
  default: return z;
  }
}

static void fill(Call *c, Operand *o)
{
  double wide = kernel_cases[c->id].wide > 0 ? kernel_cases[c->id].wide : 100;
  bool has_nan = !is_gradient(o) && c->inputs++ == c->setting.nan && c->setting.mode == WITH_NAN;
  size_t nan_at = has_nan && o->count ? rng_below(&c->rng, o->count) : o->count;
  for (size_t i = 0; i < o->count; i++) {
    double z = is_gradient(o) ? rng_uniform(&c->rng) - 0.5 : i == nan_at ? (double)NAN : next_number(c, wide);
    real x = (real)z;
    if (o->type == OF_ACC) ((acc *)o->data)[i] = z;
    else if (o->type == OF_REAL) ((real *)o->data)[i] = x;
    else pack_numbers((char *)o->data + i * o->size, ((Packed *)(void *)(c->op + o->at))->storage, &x, 1);
  }
}

static void make_operand(Call *c, Operand *o)
{
  o->data = malloc(o->count * o->size + 1);
  assert_non_null(o->data);
  memset(o->data, o->access == INDEX ? 0 : usual_filling.stale, o->count * o->size);
  if (is_input(o)) fill(c, o);
  point(c->op, o, o->data);
  if (can_be_null(c, o) && c->setting.nulls >> c->optional++ % 16 & 1) leave_out(c, o);
}

static Call new_call(OpId id, Setting s, Rng rng);

/* Whether it takes what its forward op has written. */
static bool needs_run(const Call *c, const Call *forward)
{
  for (int i = 0; i < c->operands; i++)
    for (int k = 0; k < forward->operands; k++)
      if (is_output(&forward->operand[k]) && strncmp(c->operand[i].name, "forward.", 8) == 0 &&
          strcmp(c->operand[i].name + 8, forward->operand[k].name) == 0)
        return true;
  return false;
}

/* Makes the forward op, and takes from it the operands that the row of the backward op lists, and no other. */
static void take_forward(Call *c)
{
  Setting s = c->setting;
  s.nulls = 0;
  Call forward = new_call(forward_of(c->id), s, c->rng);
  if (needs_run(c, &forward)) op_rows[forward.id].kernel(forward.op);
  for (int i = 0; i < c->operands; i++) {
    if (strncmp(c->operand[i].name, "forward.", 8)) continue;
    Operand *o = call_operand(&forward, c->operand[i].name + 8);
    c->operand[i].data = o->data, o->data = NULL;
    point(c->op, &c->operand[i], c->operand[i].data);
  }
  c->inputs = forward.inputs, c->rng = forward.rng;
  call_free(&forward);
}

static Call new_call(OpId id, Setting s, Rng rng)
{
  Call c = {.id = id, .setting = s, .rng = rng};
  set_sizes(&c);
  c.operands = op_rows[id].operands(c.op, c.operand);
  if (forward_of(id) != OP_COUNT) take_forward(&c);
  for (int i = 0; i < c.operands; i++)
    if (strncmp(c.operand[i].name, "forward.", 8)) make_operand(&c, &c.operand[i]);
  if (kernel_cases[id].values) kernel_cases[id].values(&c);
  return c;
}

Call call_new(OpId id, Setting s) { return new_call(id, s, rng_new(7, (uint64_t)s.variant)); }

void call_free(Call *c)
{
  for (int i = 0; i < c->operands; i++) free(c->operand[i].data);
}

/* ---- runs ---- */

enum { GUARD = 67 * sizeof(double) }; /* bytes: odd, so that no operand begins where a vector would like it to */
const Filling usual_filling = {(char)0xff, 0x5a};

static size_t bytes_of(const Operand *o) { return o->count * o->size; }
char *run_numbers(const Run *r, int operand) { return r->image[operand] + GUARD; }

void run_put(Run *r, const Call *c, const Backend *b, Filling f)
{
  *r = (Run){.call = c, .backend = b, .filling = f};
  memcpy(r->op, c->op, sizeof r->op);
  for (int i = 0; i < c->operands; i++) {
    const Operand *o = &c->operand[i];
    size_t all = bytes_of(o) + 2 * GUARD;
    if (!o->data) continue;
    r->image[i] = malloc(all);
    assert_non_null(r->image[i]);
    memset(r->image[i], f.guard, all);
    if (o->access == WRITE || o->access == SCRATCH) memset(run_numbers(r, i), f.stale, bytes_of(o));
    else memcpy(run_numbers(r, i), o->data, bytes_of(o));
    r->there[i] = o->access == INDEX ? r->image[i] : b->memory->alloc(all);
    assert_non_null(r->there[i]);
    if (o->access != INDEX) b->memory->write(r->there[i], r->image[i], all);
    point(r->op, o, r->there[i] + GUARD);
  }
}

void run_take(Run *r)
{
  r->backend->flush();
  for (int i = 0; i < r->call->operands; i++) {
    const Operand *o = &r->call->operand[i];
    size_t all = bytes_of(o) + 2 * GUARD;
    if (!o->data || o->access == INDEX) continue;
    r->backend->memory->read(r->image[i], r->there[i], all);
    r->backend->memory->free(r->there[i], all);
  }
}

void run_free(Run *r)
{
  for (int i = 0; i < r->call->operands; i++) free(r->image[i]);
}

Run run_call(const Call *c, const Backend *b, Filling f)
{
  Run r;
  run_put(&r, c, b, f);
  b->run(c->id, r.op);
  run_take(&r);
  return r;
}

static double seconds_now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double call_seconds(const Call *c, const Backend *b)
{
  Run r;
  int calls = 0;
  run_put(&r, c, b, usual_filling);
  double start = seconds_now();
  for (; calls < 3 || seconds_now() - start < 0.05; calls++) {
    b->run(c->id, r.op);
    b->flush();
  }
  double seconds = (seconds_now() - start) / calls;
  run_take(&r);
  run_free(&r);
  return seconds;
}

/* ---- comparing ---- */

static char message[300];

const char *run_fault(const Run *r)
{
  for (int i = 0; i < r->call->operands; i++) {
    const Operand *o = &r->call->operand[i];
    if (!o->data) continue;
    const char *x = run_numbers(r, i);
    const char *fault = NULL;
    for (size_t k = 0; k < GUARD; k++)
      if (x[bytes_of(o) + k] != r->filling.guard || r->image[i][k] != r->filling.guard) fault = "was written outside";
    if ((o->access == READ || o->access == INDEX) && memcmp(x, o->data, bytes_of(o))) fault = "is only read, but has changed";
    if (!fault) continue;
    snprintf(message, sizeof message, "%s, backend %s: %s[%zu] %s", op_rows[r->call->id].name, r->backend->name, o->name,
             o->count, fault);
    return message;
  }
  return NULL;
}

static double number(const Operand *o, const char *data, size_t i)
{
  if (o->type == OF_INT) return ((const int *)(const void *)data)[i];
  if (o->type == OF_ACC) return ((const acc *)(const void *)data)[i];
  return (double)((const real *)(const void *)data)[i];
}

double operand_difference(const Operand *o, const char *got, const char *want)
{
  double square = 0, error = 0, worst = 0;
  size_t finite = 0;
  for (size_t i = 0; i < o->count; i++) {
    double x = number(o, got, i), y = number(o, want, i);
    if (!isfinite(y)) {
      if (!(isnan(y) ? isnan(x) : x == y)) return HUGE_VAL;
      continue;
    }
    if (!isfinite(x)) return HUGE_VAL;
    square += y * y, error += (x - y) * (x - y);
    finite++;
  }
  if (!finite || error == 0) return 0;
  double rms = sqrt(square / (double)finite) + 1e-30;
  for (size_t i = 0; i < o->count; i++) {
    double x = number(o, got, i), y = number(o, want, i);
    if (isfinite(y)) worst = fmax(worst, fabs(x - y) / fmax(rms, fabs(y)));
  }
  return fmax(worst, sqrt(error / (double)finite) / rms);
}

const char *runs_differ(const Run *got, const Run *want, double allowed)
{
  for (int i = 0; i < want->call->operands; i++) {
    const Operand *o = &want->call->operand[i];
    if (!is_output(o)) continue;
    const char *x = run_numbers(got, i), *y = run_numbers(want, i);
    double d = allowed > 0 ? operand_difference(o, x, y) : memcmp(x, y, bytes_of(o)) ? HUGE_VAL : 0;
    if (d <= allowed) continue;
    snprintf(message, sizeof message, "%s[%zu] differs by %g, allowed %g", o->name, o->count, d, allowed);
    return message;
  }
  return NULL;
}

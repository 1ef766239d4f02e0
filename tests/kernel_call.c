#include "kernel_call.h"

#include "kernel_cases.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

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
  if (!sizes->rows) fail_msg("op %s has no case in tests/kernel_cases.c", op_rows[id].name);
  return sizes->rows * (own->ways ? own->ways : sizes->ways ? sizes->ways : 1);
}

const char *call_shape(OpId id) { return sizes_of(id)->shape; }

static const size_t *large_of(OpId id) { return kernel_large[sizes_of(id) - kernel_cases]; }
bool call_is_large(OpId id) { return large_of(id)[0] > 0; }

int call_way(const Call *c) { return c->setting.variant < 0 ? BENCH : c->setting.variant / sizes_of(c->id)->rows; }

bool call_is_rounded(const Call *c)
{
  const KernelCase *own = &kernel_cases[c->id], *sizes = sizes_of(c->id);
  int from = own->rounded ? own->rounded : sizes->rounded;
  return from && call_way(c) != BENCH && call_way(c) >= from;
}

static void set_sizes(Call *c)
{
  const KernelCase *own = &kernel_cases[c->id], *sizes = sizes_of(c->id);
  OpId id = own == sizes ? c->id : forward_of(c->id);
  void *op = own == sizes ? c->op : forward_in(c->op, c->id);
  if (sizes->start) memcpy(op, sizes->start, op_rows[id].bytes);
  int v = c->setting.variant;
  const size_t *row = v == BENCH ? sizes->bench : large_of(c->id);
  if (v >= 0 && sizes->width) row = sizes->sizes + (size_t)(v % sizes->rows) * sizes->width;
  if (sizes->width) memcpy((char *)op + sizes->at, row, sizes->width * sizeof *row);
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

static void leave_out(Call *c, Operand *o)
{
  free(o->data);
  o->data = NULL;
  call_point(c->op, o, NULL);
}

void call_leave_out(Call *c, const char *name) { leave_out(c, call_operand(c, name)); }

static bool is_input(const Operand *o) { return o->access == READ || o->access == UPDATE; }
static bool is_gradient(const Operand *o) { return o->access == UPDATE && o->name[0] == 'g'; }
bool is_output(const Operand *o) { return o->data && (o->access == WRITE || o->access == UPDATE); }
void call_point(char *op, const Operand *o, const void *data) { memcpy(op + o->at, &data, sizeof data); }

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
    else packed_write((char *)o->data + i * o->size, ((Packed *)(void *)(c->op + o->at))->storage, &x, 1);
  }
}

static void make_operand(Call *c, Operand *o)
{
  o->data = malloc(o->count * o->size + 1);
  assert_non_null(o->data);
  memset(o->data, o->access == INDEX ? 0 : 0xff, o->count * o->size); /* 0, NaN */
  if (is_input(o)) fill(c, o);
  call_point(c->op, o, o->data);
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
    call_point(c->op, &c->operand[i], c->operand[i].data);
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

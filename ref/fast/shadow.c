#include "shadow.h"

#include "../engine/err.h"
#include "../engine/host_copy.h"
#include "fast.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void (*shadow_watch)(OpId id, const void *op, bool before);

/* ---- how far apart they may be ---- */

/* Differences are relative to the largest magnitude in the output, or of a term of its sums where that is larger.
   The rounding error of a float sum grows as the root of the number of its terms, and so does a sum of terms of random
   sign; but a gradient that is close to 0, as training makes them, is a small rest of large terms. So sums of more than
   4096 terms (gradients of weights, biases and decays over all tokens, mostly) are allowed more, as the root: 2e-5 for
   16384 terms. Found in the first steps of all versions: 3e-6 at most below 6400 terms, and 2e-5 for 135168 (v1's
   decay), where 6e-5 is allowed. */
#ifdef AVIARY_DOUBLE
static const double tolerance = 1e-12;
#else
static const double tolerance = 1e-5;
#endif

static double allowed(const Operand *o) { return tolerance * fmax(1, sqrt((double)o->terms) / 64); }

/* ---- copies ---- */

/* One op, called twice. */
typedef struct {
  OpId id;
  const Backend *watched;
  HostCopy host; /* where the reference computes */
  char *copies;  /* of each output: as it was before, then what the watched kernel made of it */
} Pair;

static bool is_output(const Operand *o) { return o->data && (o->access == WRITE || o->access == UPDATE); }

/* Each copy begins where an acc may. */
static size_t room_of(const Operand *o) { return is_output(o) ? (o->count * o->size + 7) / 8 * 8 : 0; }

/* What is overwritten holds NaN before (an int: -1): a number that a kernel forgets shows. */
static void prepare(const Operand *o, const char *before)
{
  if (!o->count) return;
  if (o->access == UPDATE) memcpy(o->data, before, o->count * o->size);
  else memset(o->data, 0xff, o->count * o->size);
}

#define EACH_OUTPUT(p, o, at)                                                                                     \
  for (const Operand *o = (p)->host.operand, *end_ = o + (p)->host.operands; o < end_; at += 2 * room_of(o), o++) \
    if (is_output(o))

/* ---- comparing ---- */

static double number(const Operand *o, const void *data, size_t i)
{
  switch (o->type) {
  case OF_INT: return ((const int *)data)[i];
  case OF_ACC: return ((const acc *)data)[i];
  default: return (double)((const real *)data)[i];
  }
}

/* Of finite numbers their distance; NaN goes with NaN and infinity with itself, and nothing else with them. */
static double distance(double x, double y)
{
  if (isfinite(x) && isfinite(y)) return fabs(x - y);
  return (isnan(y) ? isnan(x) : x == y) ? 0 : HUGE_VAL;
}

/* The largest number of the operand of a name: "g", or "x" for forward.x. */
static double largest_of(const Pair *p, char name)
{
  double most = 0;
  for (int i = 0; i < p->host.operands; i++) {
    const Operand *o = &p->host.operand[i];
    const char *last = strrchr(o->name, '.') ? strrchr(o->name, '.') + 1 : o->name;
    if (!o->data || o->access != READ || last[0] != name || last[1]) continue;
    for (size_t j = 0; j < o->count; j++) most = fmax(most, fabs(number(o, o->data, j)));
  }
  return most;
}

/* How large the products can be that a number of the output is a sum of; 0: not known. */
static double largest_term(const Pair *p, const Operand *o)
{
  double most = *o->of ? 1 : 0;
  for (const char *name = o->of; *name; name += name[1] ? 2 : 1) most *= largest_of(p, *name);
  return most;
}

static _Noreturn void disagree(const Pair *p, const Operand *o, size_t at, double got, double want, double scale)
{
  char sizes[300] = "";
  for (int i = 0; i < p->host.operands; i++)
    snprintf(sizes + strlen(sizes), sizeof sizes - strlen(sizes), "%s%s[%zu]", i ? " " : "", p->host.operand[i].name,
             p->host.operand[i].count);
  rwkv_release(p->copies);
  rwkv_release(p->host.room);
  rwkv_fail("shadow: %s: the kernels disagree in %s[%zu] of %zu: %s %.9g, reference %.9g; the largest number of %s "
            "or term of its sums is %.3g, and %.1e of it is allowed, found %.1e; operands: %s",
            op_rows[p->id].name, o->name, at, o->count, p->watched->name, got, want, o->name, scale, allowed(o),
            distance(got, want) / scale, sizes);
}

static void compare(const Pair *p, const Operand *o, const char *fast)
{
  double scale = fmax(largest_term(p, o), 1e-30), worst = 0;
  size_t at = 0;
  for (size_t i = 0; i < o->count; i++) {
    double want = number(o, o->data, i), d = distance(number(o, fast, i), want);
    if (isfinite(want)) scale = fmax(scale, fabs(want));
    if (d > worst) worst = d, at = i;
  }
  if (o->type == OF_INT && o->terms > 1) return; /* found among sums, which are compared */
  if (o->type == OF_INT ? worst > 0 : !(worst <= allowed(o) * scale))
    disagree(p, o, at, number(o, fast, at), number(o, o->data, at), scale);
}

/* ---- the pair ---- */

static void run_pair(const Backend *watched, OpId id, const void *op)
{
  Pair p = {.id = id, .watched = watched};
  const Memory *memory = watched->memory;
  size_t total = 0;
  host_copy_take(&p.host, memory, id, op);
  for (int i = 0; i < p.host.operands; i++) total += 2 * room_of(&p.host.operand[i]);
  char *at = p.copies = rwkv_alloc(total + 1, 1, "copies for shadow mode");
  EACH_OUTPUT(&p, o, at) memcpy(at, o->data, o->count * o->size);
  at = p.copies;
  EACH_OUTPUT(&p, o, at) prepare(o, at);
  host_copy_return(&p.host);

  if (shadow_watch) shadow_watch(id, op, true);
  watched->run(id, op);
  watched->flush();
  if (shadow_watch) shadow_watch(id, op, false);
  at = p.copies;
  EACH_OUTPUT(&p, o, at) memory->read(at + room_of(o), p.host.there[o - p.host.operand], o->count * o->size);
  at = p.copies;
  EACH_OUTPUT(&p, o, at) prepare(o, at);

  op_rows[id].kernel(p.host.op);
  at = p.copies;
  EACH_OUTPUT(&p, o, at) compare(&p, o, at + room_of(o));
  host_copy_return(&p.host);
  rwkv_release(p.copies);
  rwkv_release(p.host.room);
}

static void nothing_waits(void) {}
static bool never(const void *p) { return (void)p, false; }

static void run_fast(OpId id, const void *op) { run_pair(&backend_fast, id, op); }
static void fast_batch(size_t B, size_t T, size_t C) { backend_fast.batch(B, T, C); }
const Backend backend_shadow = {"shadow", &memory_host, run_fast, nothing_waits, fast_batch,
                                never,    NULL,         NULL,     NULL,          NULL};

static const Backend *device;
static void run_device(OpId id, const void *op) { run_pair(device, id, op); }
static void any_batch(size_t B, size_t T, size_t C) { (void)B, (void)T, (void)C; }

const Backend *shadow_of(const Backend *b)
{
  static Backend shadow;
  device = b;
  shadow = (Backend){"shadow", b->memory, run_device, b->flush, any_batch, never, NULL, b->counts, b->device, b->ranks};
  return &shadow;
}

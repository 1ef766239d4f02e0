#include "kernel_run.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { GUARD = 67 * sizeof(double) }; /* bytes: odd, so that no operand begins where a vector would like it to */
const Filling usual_filling = {(char)0xff, 0x3f};

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
    call_point(r->op, o, r->there[i] + GUARD);
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
    const char *x = run_numbers(r, i), *fault = NULL;
    bool reads = o->access == READ || o->access == INDEX;
    for (size_t k = 0; k < GUARD; k++)
      if (x[bytes_of(o) + k] != r->filling.guard || r->image[i][k] != r->filling.guard) fault = "was written outside";
    if (reads && memcmp(x, o->data, bytes_of(o))) fault = "is only read, but has changed";
    if (!fault) continue;
    snprintf(message, sizeof message, "%s, backend %s: %s[%zu] %s", op_rows[r->call->id].name, r->backend->name,
             o->name, o->count, fault);
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

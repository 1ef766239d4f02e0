#include "optim.h"

#include "backend.h"
#include "err.h"

#include <math.h>
#include <string.h>

static void in_range(const char *name, double x, double low, double high)
{
  if (!(x >= low && x <= high)) rwkv_fail("adamw: %s is %g, expected %g to %g", name, x, low, high);
}

Optim *opt_new(const OptConfig *cfg, int count)
{
  in_range("lr", cfg->lr, 0, 1e6);
  in_range("beta1", cfg->beta1, 0, 1 - 1e-12);
  in_range("beta2", cfg->beta2, 0, 1 - 1e-12);
  in_range("eps", cfg->eps, 1e-300, 1);
  in_range("weight_decay", cfg->weight_decay, 0, 1e6);
  in_range("clip", cfg->clip, 0, 1e300);
  in_range("final", cfg->final, 0, 1);
  in_range("warmup", cfg->warmup, 0, 1e9);
  in_range("total", cfg->total, 0, 1e9);
  Optim *o = rwkv_alloc(1, sizeof *o, "optimizer");
  o->cfg = *cfg;
  o->params = rwkv_try_alloc((size_t)count, sizeof *o->params);
  if (!o->params) {
    rwkv_release(o);
    memory_fail((size_t)count * sizeof *o->params, "an optimizer");
  }
  o->count = count;
  o->squares = backend_memory.alloc(sizeof *o->squares);
  if (!o->squares) {
    opt_free(o);
    memory_fail(sizeof *o->squares, "an optimizer");
  }
  return o;
}

void opt_free(Optim *o)
{
  if (!o) return;
  for (int i = 0; i < o->count; i++) {
    tensor_free(o->params[i].m);
    tensor_free(o->params[i].v);
  }
  backend_free(o->squares, sizeof *o->squares);
  rwkv_release(o->params);
  rwkv_release(o);
}

void opt_add(Optim *o, int i, Tensor *p, double lr_scale, bool decay)
{
  OptParam *q = &o->params[i];
  *q = (OptParam){.p = p, .lr_scale = lr_scale, .decay = decay};
  q->m = tensor_new(p->axes, p->shape);
  q->v = tensor_new(p->axes, p->shape);
}

double opt_rate(const OptConfig *c, long step)
{
  if (step < c->warmup) return c->lr * (0.01 + 0.99 * (double)step / c->warmup);
  if (c->total <= c->warmup) return c->lr;
  double done = fmin(1, (double)(step - c->warmup) / (c->total - c->warmup));
  return c->lr * (c->final + (1 - c->final) * 0.5 * (1 + cos(3.14159265358979323846 * done)));
}

double opt_step(Optim *o)
{
  const OptConfig *c = &o->cfg;
  acc squares = 0;
  backend_write(o->squares, &squares, sizeof squares);
  for (int i = 0; i < o->count; i++) {
    const Tensor *p = o->params[i].p;
    run_sum_squares(&(SumSquares){o->squares, p->grad, p->n});
  }
  backend_read(&squares, o->squares, sizeof squares);
  double norm = sqrt(squares);
  if (!isfinite(norm)) rwkv_fail("the gradient is not finite at step %ld: nothing was changed", o->step);

  acc scale = c->clip > 0 && norm > c->clip ? c->clip / norm : 1;
  double rate = opt_rate(c, o->step++), n = (double)o->step;
  for (int i = 0; i < o->count; i++) {
    const OptParam *q = &o->params[i];
    /* clang-format off */
    run_adamw(&(Adamw){.p = q->p->data, .m = q->m->data, .v = q->v->data, .g = q->p->grad, .scale = scale,
                       .lr = rate * q->lr_scale, .beta1 = c->beta1, .beta2 = c->beta2, .eps = c->eps,
                       .decay = q->decay ? c->weight_decay : 0, .unbias1 = 1 - pow(c->beta1, n),
                       .unbias2 = 1 - pow(c->beta2, n), .n = q->p->n});
    /* clang-format on */
  }
  return norm;
}

void opt_zero_grad(Optim *o)
{
  for (int i = 0; i < o->count; i++) tensor_clear_grad(o->params[i].p);
}

#include "optim.h"

#include "backend.h"
#include "err.h"

#include <math.h>
#include <string.h>

static void in_range(const char *name, double x, double low, double high)
{
  if (!(x >= low && x <= high)) rwkv_fail("adamw: %s is %g, expected %g to %g", name, x, low, high);
}

static void check_rate(double lr) { in_range("lr", lr, 0, 1e6); }

Optim *opt_new(const OptConfig *cfg, int count, int groups)
{
  check_rate(cfg->lr);
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
  o->groups = rwkv_try_alloc((size_t)groups + 1, sizeof *o->groups);
  o->squares = backend_memory.alloc(sizeof *o->squares);
  if (!o->params || !o->groups || !o->squares) {
    opt_free(o);
    memory_fail((size_t)count * sizeof *o->params, "an optimizer");
  }
  o->count = count, o->group_count = groups + 1;
  o->groups[0] = (OptGroup){.lr = cfg->lr, .own = true};
  return o;
}

void opt_free(Optim *o)
{
  if (!o) return;
  for (int i = 0; i < o->count; i++) {
    rwkv_release(o->params[i].name);
    tensor_free(o->params[i].m);
    tensor_free(o->params[i].v);
  }
  backend_free(o->squares, sizeof *o->squares);
  rwkv_release(o->groups);
  rwkv_release(o->params);
  rwkv_release(o);
}

void opt_need_moments(OptParam *q)
{
  if (!q->m) q->m = tensor_new(q->p->axes, q->p->shape);
  if (!q->v) q->v = tensor_new(q->p->axes, q->p->shape);
}

void opt_add(Optim *o, int i, const char *name, Tensor *p, double lr_scale, bool decay)
{
  OptParam *q = &o->params[i];
  *q = (OptParam){.p = p, .lr_scale = lr_scale, .decay = decay ? o->cfg.weight_decay : 0};
  q->name = rwkv_alloc(strlen(name) + 1, 1, "optimizer");
  memcpy(q->name, name, strlen(name) + 1);
  if (p->needs_grad) opt_need_moments(q);
}

/* ---- rates ---- */

void opt_group_lr(Optim *o, int group, double lr)
{
  check_rate(lr);
  o->groups[group] = (OptGroup){.lr = lr, .own = true};
}

void opt_set_rate(Optim *o, int group, double lr)
{
  check_rate(lr);
  o->groups[group].rate = lr;
  o->groups[group].set = true;
}

double opt_schedule(const OptConfig *c, long step)
{
  if (step < c->warmup) return 0.01 + 0.99 * (double)step / c->warmup;
  if (c->total <= c->warmup) return 1;
  double done = fmin(1, (double)(step - c->warmup) / (c->total - c->warmup));
  return c->final + (1 - c->final) * 0.5 * (1 + cos(3.14159265358979323846 * done));
}

double opt_rate(const Optim *o, int group)
{
  const OptGroup *g = &o->groups[group];
  if (!g->own && !g->set) g = &o->groups[0];
  return g->set ? g->rate : g->lr * opt_schedule(&o->cfg, o->step);
}

/* ---- steps ---- */

static bool moves(const OptParam *q) { return q->p->needs_grad && q->p->reached; }

static acc squares_of(Optim *o, int first, int last)
{
  acc squares = 0;
  backend_write(o->squares, &squares, sizeof squares);
  for (int i = first; i < last; i++) {
    const Tensor *p = o->params[i].p;
    if (moves(&o->params[i])) run_sum_squares(&(SumSquares){o->squares, p->grad, p->n});
  }
  backend_read(&squares, o->squares, sizeof squares);
  return squares;
}

_Noreturn static void fail_not_finite(Optim *o)
{
  int i = 0;
  while (i + 1 < o->count && isfinite(squares_of(o, i, i + 1))) i++;
  rwkv_fail("the gradient is not finite at step %ld, that of %s to begin with: nothing was changed", o->step + 1,
            o->params[i].name);
}

static void update(const Optim *o, OptParam *q, acc scale, double lr)
{
  const OptConfig *c = &o->cfg;
  double n = (double)++q->steps;
  /* clang-format off */
  run_adamw(&(Adamw){.p = q->p->data, .m = q->m->data, .v = q->v->data, .g = q->p->grad, .scale = scale, .lr = lr,
                     .beta1 = c->beta1, .beta2 = c->beta2, .eps = c->eps, .decay = q->decay,
                     .unbias1 = 1 - pow(c->beta1, n), .unbias2 = 1 - pow(c->beta2, n), .n = q->p->n});
  /* clang-format on */
  tensor_wrote(q->p);
}

double opt_step(Optim *o, const double *rates)
{
  for (int i = 0; i < o->count; i++)
    if (moves(&o->params[i])) opt_need_moments(&o->params[i]);
  double norm = sqrt(squares_of(o, 0, o->count)), clip = o->cfg.clip;
  if (!isfinite(norm)) fail_not_finite(o);
  acc scale = clip > 0 && norm > clip ? clip / norm : 1;
  for (int i = 0; i < o->count; i++) {
    OptParam *q = &o->params[i];
    if (moves(q)) update(o, q, scale, (rates ? rates[q->group] : opt_rate(o, q->group)) * q->lr_scale);
  }
  o->step++;
  return norm;
}

void opt_zero_grad(Optim *o)
{
  for (int i = 0; i < o->count; i++) tensor_clear_grad(o->params[i].p);
}

/* The optimizer of a model, made and kept in a checkpoint. */
#include "build.h"
#include "metadata.h"

#include "engine/err.h"

#include <stdio.h>
#include <string.h>

static bool is_matrix_weight(const Param *p)
{
  const char *end = strrchr(p->name, '.');
  int wide = 0;
  for (int i = 0; i < p->t->axes; i++) wide += p->t->shape[i] > 1;
  return end && strcmp(end, ".weight") == 0 && wide >= 2;
}

static void add_moments(void *arg) /* (model, optimizer) */
{
  Model *m = ((void **)arg)[0];
  Optim *o = ((void **)arg)[1];
  for (int i = 0; i < m->count; i++)
    opt_add(o, i, m->params[i].t, m->params[i].lr_scale, o->cfg.decay_all || is_matrix_weight(&m->params[i]));
}

Optim *model_optimizer(Model *m, const OptConfig *cfg)
{
  if (m->inference) rwkv_fail("this model is for inference: its weights are packed, and there is nothing to train");
  Optim *o = opt_new(cfg, m->count);
  const char *error = rwkv_protect(add_moments, (void *[]){m, o});
  if (error) {
    opt_free(o);
    rwkv_fail("%s", error);
  }
  return o;
}

void opt_write(const Optim *o, const Model *m, FileWriter *w)
{
  char name[PARAM_NAME + 20];
  for (int i = 0; i < o->count; i++) {
    snprintf(name, sizeof name, "optim.m.%s", m->params[i].name);
    writer_put_tensor(w, name, o->params[i].m);
    snprintf(name, sizeof name, "optim.v.%s", m->params[i].name);
    writer_put_tensor(w, name, o->params[i].v);
  }
  snprintf(name, sizeof name, "%ld", o->step);
  writer_put_meta(w, "optim.step", name);
}

static const FileTensor *moment(TensorFile *f, const char *which, const Param *p)
{
  char name[PARAM_NAME + 20];
  snprintf(name, sizeof name, "optim.%s.%s", which, p->name);
  const FileTensor *e = file_find(f, name);
  if (!e || e->n != p->t->n)
    rwkv_fail("%s: not a checkpoint of this model: %s is %s", file_path(f), name, e ? "of another size" : "missing");
  return e;
}

void opt_restore(Optim *o, Model *m, TensorFile *f)
{
  const char *step = file_meta(f, "optim.step");
  if (!step) rwkv_fail("%s: not a checkpoint: it holds no optimizer", file_path(f));
  long steps;
  if (!metadata_number(step, strlen(step), 1L << 53, &steps))
    rwkv_fail("%s: \"%.40s\" is no number of steps", file_path(f), step);
  for (int i = 0; i < o->count; i++) moment(f, "m", &m->params[i]), moment(f, "v", &m->params[i]);
  for (int i = 0; i < o->count; i++) {
    file_read_tensor(f, moment(f, "m", &m->params[i]), o->params[i].m);
    file_read_tensor(f, moment(f, "v", &m->params[i]), o->params[i].v);
  }
  o->step = steps;
}

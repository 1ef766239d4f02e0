/* Optimizers of models, and any optimizer in a file. */
#include "build.h"
#include "metadata.h"

#include "engine/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_matrix_weight(const Param *p)
{
  const char *end = strrchr(p->name, '.');
  int wide = 0;
  for (int i = 0; i < p->t->axes; i++) wide += p->t->shape[i] > 1;
  return end && strcmp(end, ".weight") == 0 && wide >= 2;
}

void model_opt_add(Model *m, Optim *o, int first, const char *prefix)
{
  char name[OPT_NAME];
  if (m->inference) rwkv_fail("this model is for inference: its weights are packed, and there is nothing to train");
  for (int i = 0; i < m->count; i++) {
    const Param *p = &m->params[i];
    snprintf(name, sizeof name, "%s%s", prefix, p->name);
    opt_add(o, first + i, name, p->t, p->lr_scale, o->cfg.decay_all || is_matrix_weight(p));
  }
}

static void add_all(void *arg) { model_opt_add(((void **)arg)[0], ((void **)arg)[1], 0, ""); } /* (model, optimizer) */

Optim *model_optimizer(Model *m, const OptConfig *cfg)
{
  Optim *o = opt_new(cfg, m->count, 0);
  const char *error = rwkv_protect(add_all, (void *[]){m, o});
  if (error) {
    opt_free(o);
    rwkv_fail("%s", error);
  }
  return o;
}

/* ---- files ---- */

enum { ENTRY = 2 * OPT_NAME + 40 };

static const char *entry(char *out, const char *prefix, const char *what, const char *name)
{
  snprintf(out, ENTRY, "%s%s%s%s", prefix, what, *name ? "." : "", name);
  return out;
}

static void put_number(FileWriter *w, const char *key, const char *format, double x)
{
  char text[40];
  snprintf(text, sizeof text, format, x);
  writer_put_meta(w, key, text);
}

void opt_write(const Optim *o, const char *prefix, FileWriter *w)
{
  char key[ENTRY], group[16];
  for (int i = 0; i < o->count; i++) {
    const OptParam *q = &o->params[i];
    if (q->m) writer_put_tensor(w, entry(key, prefix, "m", q->name), q->m);
    if (q->v) writer_put_tensor(w, entry(key, prefix, "v", q->name), q->v);
    if (!q->m || q->steps != o->step) put_number(w, entry(key, prefix, "steps", q->name), "%.0f", (double)q->steps);
    if (!q->p->needs_grad) writer_put_meta(w, entry(key, prefix, "frozen", q->name), "yes");
  }
  for (int g = 0; g < o->group_count; g++) {
    snprintf(group, sizeof group, "%d", g);
    if (o->groups[g].set) put_number(w, entry(key, prefix, "rate", group), "%.17g", o->groups[g].rate);
  }
  put_number(w, entry(key, prefix, "step", ""), "%.0f", (double)o->step);
}

/* What the file says of one parameter. */
typedef struct {
  const FileTensor *m, *v; /* NULL: it has never been moved */
  long steps;
  bool frozen;
} Found;

static const char *text_of(TensorFile *f, const char *prefix, const char *what, const char *name)
{
  char key[ENTRY];
  return file_meta(f, entry(key, prefix, what, name));
}

static long steps_in(TensorFile *f, const char *text)
{
  long steps;
  if (!metadata_number(text, strlen(text), 1L << 53, &steps))
    rwkv_fail("%s: \"%.40s\" is no number of steps", file_path(f), text);
  return steps;
}

static const FileTensor *moment(TensorFile *f, const char *prefix, const char *which, const OptParam *q)
{
  char name[ENTRY];
  const FileTensor *e = file_find(f, entry(name, prefix, which, q->name));
  if (!e || e->n != q->p->n)
    rwkv_fail("%s: not a checkpoint of this optimizer: %s is %s", file_path(f), name,
              e ? "of another size" : "missing");
  return e;
}

static Found find(TensorFile *f, const char *prefix, const OptParam *q, long step)
{
  const char *steps = text_of(f, prefix, "steps", q->name);
  Found found = {.steps = steps ? steps_in(f, steps) : step, .frozen = text_of(f, prefix, "frozen", q->name)};
  char name[ENTRY];
  if (steps && found.steps == 0 && !file_find(f, entry(name, prefix, "m", q->name))) return found;
  found.m = moment(f, prefix, "m", q), found.v = moment(f, prefix, "v", q);
  return found;
}

static double rate_in(TensorFile *f, const char *text)
{
  char *end;
  double lr = strtod(text, &end);
  if (end == text || *end || !(lr >= 0 && lr <= 1e6)) rwkv_fail("%s: \"%.40s\" is no rate", file_path(f), text);
  return lr;
}

static bool trains(const Optim *o, const char *name)
{
  for (int i = 0; i < o->count; i++)
    if (strcmp(o->params[i].name, name) == 0) return true;
  return false;
}

/* Fails if the file has moments of more than the `known` ones, which are of this optimizer's parameters. */
static void check_strangers(const Optim *o, const char *prefix, TensorFile *f, int known)
{
  char start[ENTRY];
  size_t n = (size_t)snprintf(start, sizeof start, "%sm.", prefix);
  int there = 0;
  for (int i = 0; i < file_count(f); i++) there += strncmp(file_tensor(f, i)->name, start, n) == 0;
  for (int i = 0; i < file_count(f) && there > known; i++) {
    const char *name = file_tensor(f, i)->name;
    if (strncmp(name, start, n) == 0 && !trains(o, name + n))
      rwkv_fail("%s: not a checkpoint of this optimizer: it has moments of %s, which this one does not train",
                file_path(f), name + n);
  }
}

void opt_check(Optim *o, const char *prefix, TensorFile *f)
{
  char key[ENTRY], group[16];
  const char *text = text_of(f, prefix, "step", "");
  if (!text) rwkv_fail("%s: not a checkpoint: it holds no optimizer", file_path(f));
  long step = steps_in(f, text);
  int known = 0;
  for (int i = 0; i < o->count; i++) known += find(f, prefix, &o->params[i], step).m != NULL;
  check_strangers(o, prefix, f, known);
  for (int g = 0; g <= o->group_count; g++) {
    snprintf(group, sizeof group, "%d", g);
    text = file_meta(f, entry(key, prefix, "rate", group));
    if (text) rate_in(f, text);
    if (text && g == o->group_count)
      rwkv_fail("%s: it has a rate of group %d, this optimizer has %d groups", file_path(f), g, g - 1);
  }
  for (int i = 0; i < o->count; i++) {
    OptParam *q = &o->params[i];
    if (find(f, prefix, q, step).m) opt_need_moments(q);
  }
}

void opt_restore(Optim *o, const char *prefix, TensorFile *f)
{
  char group[16];
  opt_check(o, prefix, f);
  long step = steps_in(f, text_of(f, prefix, "step", ""));
  for (int i = 0; i < o->count; i++) {
    OptParam *q = &o->params[i];
    Found found = find(f, prefix, q, step);
    if (found.m) file_read_tensor(f, found.m, q->m), file_read_tensor(f, found.v, q->v);
    else if (q->m) tensor_fill(q->m, 0), tensor_fill(q->v, 0);
    q->steps = found.steps;
    (found.frozen ? tensor_need_no_grad : tensor_need_grad)(q->p);
  }
  for (int g = 0; g < o->group_count; g++) {
    snprintf(group, sizeof group, "%d", g);
    const char *text = text_of(f, prefix, "rate", group);
    o->groups[g].set = text != NULL;
    if (text) o->groups[g].rate = rate_in(f, text);
  }
  o->step = step;
}

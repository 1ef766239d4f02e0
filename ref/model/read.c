/* Models in files: which version a file is, reading, writing, checkpoints. */
#include "build.h"

#include "engine/err.h"

#include <stdio.h>
#include <string.h>

/* A file is of the version whose parameter list it fills. How far it is from one: the number of tensors
   that do not fit, and the first of them. */
typedef struct {
  const Version *version;
  StFile *file;
  Dims d;
  int known, misfits;
  char problem[400];
} Fit;

static void misfit(Fit *fit, const char *text)
{
  if (fit->misfits++ == 0) snprintf(fit->problem, sizeof fit->problem, "%s", text);
}

/* Some files hold v7's value residual for block 0 too, where nothing depends on it. */
static bool may_stand(const Place *p)
{
  return p->expected || (p->spec->where == own_value_residual && p->layer == 0);
}

static void fit_param(void *ctx, const Place *p)
{
  Fit *fit = ctx;
  const ParamSpec *spec = p->spec;
  const StEntry *e = st_find(fit->file, p->name);
  char text[400];
  rwkv_poll();
  if (!e) {
    snprintf(text, sizeof text, "%s is missing", p->name);
    if (p->expected) misfit(fit, text);
    return;
  }
  if (!may_stand(p)) return; /* counts as left over */
  fit->known++;

  int extra = e->axes - spec->shape.axes, want[MAX_AXES]; /* [C] may stand for [1,1,C] and back */
  bool fits = true;
  for (int i = 0; i < extra; i++) fits &= e->shape[i] == 1;
  for (int i = 0; i < spec->shape.axes; i++) {
    int found = i + extra >= 0 ? e->shape[i + extra] : 1;
    if (size_of(&fit->d, spec->shape.size[i]) == 0) *dim_at(&fit->d, spec->shape.size[i]) = found;
    fits &= size_of(&fit->d, spec->shape.size[i]) == found;
  }
  if (!fits) {
    resolve_shape(&spec->shape, &fit->d, want);
    snprintf(text, sizeof text, "%s has shape %s, expected %s", p->name, shape_text(e->axes, e->shape),
             shape_text(spec->shape.axes, want));
    misfit(fit, text);
  }
}

/* What can be told from names alone: the number of blocks and the options. */
static Dims options_of(StFile *f)
{
  Dims d = {.one = 1, .four = 4, .five = 5};
  char name[80];
  for (int i = 0; i < st_count(f); i++) {
    int layer;
    if (sscanf(st_entry(f, i)->name, "blocks.%d.", &layer) == 1 && layer >= d.L && layer < st_count(f)) d.L = layer + 1;
  }
  for (int layer = 0; layer < d.L && !d.tiny_layer; layer++) {
    snprintf(name, sizeof name, "blocks.%d.tiny_q.weight", layer);
    if (st_find(f, name)) d.tiny_layer = layer + 1;
  }
  const char *tied = st_meta(f, "tied");
  d.tied = tied && strcmp(tied, "1") == 0; /* told, not guessed: a file without a head is a broken one */
  d.pre_ffn = st_find(f, "blocks.0.ffnPre.key.weight") != NULL;
  const StEntry *head_q = st_find(f, "head_q.weight");
  if (head_q && head_q->axes == 2) d.Q = head_q->shape[0];
  return d;
}

/* Tensors that are no parameters: a checkpoint's moments and what it carries, and buffers of the official v1-v4
   modules. */
static bool is_parameter(const char *name)
{
  size_t n = strlen(name);
  return strncmp(name, "optim.", 6) != 0 && strncmp(name, CARRIED_PREFIX, strlen(CARRIED_PREFIX)) != 0 &&
         !(n >= 9 && strcmp(name + n - 9, "copy_mask") == 0) &&
         !(n >= 9 && strcmp(name + n - 9, "tiny_mask") == 0);
}

typedef struct {
  const StFile *file;
  bool *housed; /* by tensor of the file */
} Housing;

static void house_param(void *ctx, const Place *p)
{
  const Housing *h = ctx;
  const StEntry *e = may_stand(p) ? st_find(h->file, p->name) : NULL;
  if (e) h->housed[e - st_entry(h->file, 0)] = true;
}

/* The first tensor of the file that the version has no place for. */
static const char *homeless(const Fit *fit)
{
  int count = st_count(fit->file), i = 0;
  Housing h = {fit->file, rwkv_alloc((size_t)count, sizeof *h.housed, st_path(fit->file))};
  for_each_param(fit->version, &fit->d, house_param, &h);
  while (i < count && (h.housed[i] || !is_parameter(st_entry(fit->file, i)->name))) i++;
  rwkv_release(h.housed);
  return i < count ? st_entry(fit->file, i)->name : "?";
}

static void left_over(Fit *fit, int total)
{
  if (fit->known < total) {
    char text[400] = "";
    if (fit->misfits == 0) snprintf(text, sizeof text, "the file's %.200s has no place in it", homeless(fit));
    misfit(fit, text);
    fit->misfits += total - fit->known - 1;
  }
}

static Fit fit_version(StFile *f, const Version *v, const Dims *d)
{
  int total = 0;
  Fit fit = {.version = v, .file = f, .d = *d};
  for (int i = 0; i < st_count(f); i++) total += is_parameter(st_entry(f, i)->name);
  for_each_param(v, d, fit_param, &fit);
  left_over(&fit, total);
  return fit;
}

static Fit closest_version(StFile *f)
{
  Fit best = {.misfits = -1};
  const Dims options = options_of(f);
  for (const Version *const *v = version_list(); *v; v++) {
    Fit fit = fit_version(f, *v, &options);
    if (best.misfits < 0 || fit.misfits < best.misfits) best = fit;
  }
  return best;
}

typedef struct {
  StFile *file;
  const Hook *const *hooks;
  bool packed;
  Fit fit;
  Model *result;
} Load;

static void load_param(void *ctx, const Place *p)
{
  Load *l = ctx;
  Storage stored;
  const StEntry *e = st_find(l->file, p->name);
  if (!e || !may_stand(p)) return;
  bool as_stored = l->packed && is_multiplied(p) && st_storage(e->type, &stored);
  st_read_tensor(l->file, e, model_add_param(l->result, p, as_stored ? &stored : NULL));
}

/* About what the parameters need, with their structs, each at a multiple of 64 bytes. */
static size_t packed_bytes(const StFile *f)
{
  Storage stored;
  size_t bytes = 0;
  for (int i = 0; i < st_count(f); i++) {
    const StEntry *e = st_entry(f, i);
    bool kept = e->axes == 2 && st_storage(e->type, &stored);
    if (is_parameter(e->name)) bytes += sizeof(Tensor) + e->n * (kept ? storage_size(stored) : sizeof(real)) + 128;
  }
  return bytes;
}

static Fit fit_hooked(StFile *f, const Version *v, Dims *d, const char *names, const Hook *const *given)
{
  hooks_of_file(f, names, given, d);
  Dims full = version_complete(v, d);
  return fit_version(f, v, &full);
}

static Fit fit_file(StFile *f, const Hook *const *given)
{
  Dims d;
  const char *names;
  const Version *v = model_hooked(f, &d, &names);
  return v ? fit_hooked(f, v, &d, names, given) : closest_version(f);
}

static void load_protected(void *arg)
{
  Load *l = arg;
  StFile *f = l->file;
  Fit *fit = &l->fit;
  for (int i = 0; i < st_count(f); i++)
    if (st_entry(f, i)->n == 0 && is_parameter(st_entry(f, i)->name))
      rwkv_fail("tensor \"%s\" is empty", st_entry(f, i)->name);
  *fit = fit_file(f, l->hooks);
  if (fit->d.L < 1) rwkv_fail("no tensor is called \"blocks.0...\": not an RWKV model");
  if (fit->misfits)
    rwkv_fail("not a model of any version; %s comes closest, but %s%s", fit->version->name, fit->problem,
              fit->misfits > 1 ? " (and more)" : "");
  sizes_of_file(f, fit->version, &fit->d);
  Fit told = fit_version(f, fit->version, &fit->d);
  if (told.misfits) rwkv_fail("its metadata and its tensors are of different models: %s", told.problem);
  fit->d = version_complete(fit->version, &fit->d);
  l->result = model_empty(fit->version, &fit->d);
  if (l->packed) model_reserve(l->result, packed_bytes(f));
  for_each_param(fit->version, &fit->d, load_param, l);
}

static Model *load(StFile *f, const Hook *const *hooks, bool packed)
{
  Load l = {.file = f, .hooks = hooks, .packed = packed};
  const char *error = rwkv_protect(load_protected, &l);
  if (!error) return l.result;
  model_free(l.result);
  st_fail(f, error);
}

Model *model_load(StFile *f, const Hook *const *hooks) { return load(f, hooks, false); }
Model *model_load_packed(StFile *f, const Hook *const *hooks) { return load(f, hooks, true); }

void model_write(const Model *m, StWriter *w)
{
  char text[32];
  const struct {
    const char *name;
    int value;
  } sizes[] = {{"n_layer", m->d.L}, {"n_embd", m->d.C}, {"vocab_size", m->d.V}, {"head_size", m->d.N},
               {"tied", m->d.tied}};
  st_put_meta(w, "version", m->version->name);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    snprintf(text, sizeof text, "%d", sizes[i].value);
    if (sizes[i].value) st_put_meta(w, sizes[i].name, text);
  }
  write_design(m, w);
  for (int i = 0; i < m->count; i++) st_put_tensor(w, m->params[i].name, m->params[i].t);
}

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

void opt_write(const Optim *o, const Model *m, StWriter *w)
{
  char name[PARAM_NAME + 20];
  model_flush(m);
  for (int i = 0; i < o->count; i++) {
    const Tensor *t = m->params[i].t;
    snprintf(name, sizeof name, "optim.m.%s", m->params[i].name);
    st_put(w, name, t->axes, t->shape, o->params[i].m);
    snprintf(name, sizeof name, "optim.v.%s", m->params[i].name);
    st_put(w, name, t->axes, t->shape, o->params[i].v);
  }
  snprintf(name, sizeof name, "%ld", o->step);
  st_put_meta(w, "optim.step", name);
}

static const StEntry *moment(StFile *f, const char *which, const Param *p)
{
  char name[PARAM_NAME + 20];
  snprintf(name, sizeof name, "optim.%s.%s", which, p->name);
  const StEntry *e = st_find(f, name);
  if (!e || e->n != p->t->n) rwkv_fail("%s: not a checkpoint of this model: %s is %s", st_path(f), name,
                                       e ? "of another size" : "missing");
  return e;
}

void opt_restore(Optim *o, Model *m, StFile *f)
{
  const char *step = st_meta(f, "optim.step");
  if (!step) rwkv_fail("%s: not a checkpoint: it holds no optimizer", st_path(f));
  long steps;
  if (!read_digits(step, strlen(step), 1L << 53, &steps))
    rwkv_fail("%s: \"%.40s\" is no number of steps", st_path(f), step);
  for (int i = 0; i < o->count; i++) moment(f, "m", &m->params[i]), moment(f, "v", &m->params[i]);
  model_flush(m);
  for (int i = 0; i < o->count; i++) {
    st_read(f, moment(f, "m", &m->params[i]), o->params[i].m);
    st_read(f, moment(f, "v", &m->params[i]), o->params[i].v);
  }
  o->step = steps;
}

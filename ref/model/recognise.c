/* Which version a file is, and at which sizes. */
#include "recognise.h"

#include "layout.h"
#include "metadata.h"

#include "engine/err.h"

#include <stdio.h>
#include <string.h>

static void misfit(Fit *fit, const char *text)
{
  if (fit->misfits++ == 0) snprintf(fit->problem, sizeof fit->problem, "%s", text);
}

static void fit_param(void *ctx, const LayoutParam *p)
{
  Fit *fit = ctx;
  const ParamSpec *spec = p->spec;
  const FileTensor *e = file_find(fit->file, p->name);
  char text[400];
  rwkv_poll();
  if (!e) {
    snprintf(text, sizeof text, "%s is missing", p->name);
    if (p->expected) misfit(fit, text);
    return;
  }
  if (!p->expected && !layout_is_spare(p)) return; /* counts as left over */
  fit->known++;

  int extra = e->axes - spec->shape.axes, want[MAX_AXES]; /* [C] may stand for [1,1,C] and back */
  bool fits = true;
  for (int i = 0; i < extra; i++) fits &= e->shape[i] == 1;
  for (int i = 0; i < spec->shape.axes; i++) {
    int found = i + extra >= 0 ? e->shape[i + extra] : 1;
    if (dims_size(&fit->d, spec->shape.size[i]) == 0) *dims_at(&fit->d, spec->shape.size[i]) = found;
    fits &= dims_size(&fit->d, spec->shape.size[i]) == found;
  }
  if (!fits) {
    layout_shape(&spec->shape, &fit->d, want);
    snprintf(text, sizeof text, "%s has shape %s, expected %s", p->name, shape_text(e->axes, e->shape),
             shape_text(spec->shape.axes, want));
    misfit(fit, text);
  }
}

/* What can be told from names alone: the number of blocks and the options. */
static Dims options_of(TensorFile *f)
{
  Dims d = {.one = 1, .four = 4, .five = 5};
  char name[80];
  for (int i = 0; i < file_count(f); i++) {
    int layer;
    if (sscanf(file_tensor(f, i)->name, "blocks.%d.", &layer) == 1 && layer >= d.L && layer < file_count(f))
      d.L = layer + 1;
  }
  for (int layer = 0; layer < d.L && !d.tiny_layer; layer++) {
    snprintf(name, sizeof name, "blocks.%d.tiny_q.weight", layer);
    if (file_find(f, name)) d.tiny_layer = layer + 1;
  }
  const char *tied = file_meta(f, "tied");
  d.tied = tied && strcmp(tied, "1") == 0; /* told, not guessed: a file without a head is a broken one */
  d.pre_ffn = file_find(f, "blocks.0.ffnPre.key.weight") != NULL;
  const FileTensor *head_q = file_find(f, "head_q.weight");
  if (head_q && head_q->axes == 2) d.Q = head_q->shape[0];
  return d;
}

bool recognise_param(const char *name)
{
  size_t n = strlen(name);
  return strncmp(name, "optim.", 6) != 0 && strncmp(name, CARRIED_PREFIX, strlen(CARRIED_PREFIX)) != 0 &&
         !(n >= 9 && strcmp(name + n - 9, "copy_mask") == 0) && !(n >= 9 && strcmp(name + n - 9, "tiny_mask") == 0);
}

typedef struct {
  const TensorFile *file;
  bool *known; /* [tensors of the file] whether the version has a parameter of this name */
} Names;

static void mark_known(void *ctx, const LayoutParam *p)
{
  const Names *n = ctx;
  const FileTensor *e = p->expected || layout_is_spare(p) ? file_find(n->file, p->name) : NULL;
  if (e) n->known[e - file_tensor(n->file, 0)] = true;
}

/* The first tensor of the file that is no parameter of the version. */
static const char *first_unknown(const Fit *fit)
{
  int count = file_count(fit->file), i = 0;
  Names n = {fit->file, rwkv_alloc((size_t)count, sizeof *n.known, file_path(fit->file))};
  layout_each_param(fit->version, &fit->d, mark_known, &n);
  while (i < count && (n.known[i] || !recognise_param(file_tensor(fit->file, i)->name))) i++;
  rwkv_release(n.known);
  return i < count ? file_tensor(fit->file, i)->name : "?";
}

static void left_over(Fit *fit, int total)
{
  if (fit->known < total) {
    char text[400] = "";
    if (fit->misfits == 0) snprintf(text, sizeof text, "the file's %.200s has no place in it", first_unknown(fit));
    misfit(fit, text);
    fit->misfits += total - fit->known - 1;
  }
}

Fit recognise_version(TensorFile *f, const Version *v, const Dims *d)
{
  int total = 0;
  Fit fit = {.version = v, .file = f, .d = *d};
  for (int i = 0; i < file_count(f); i++) total += recognise_param(file_tensor(f, i)->name);
  layout_each_param(v, d, fit_param, &fit);
  left_over(&fit, total);
  return fit;
}

static Fit closest_version(TensorFile *f)
{
  Fit best = {.misfits = -1};
  const Dims options = options_of(f);
  for (const Version *const *v = version_list(); *v; v++) {
    Fit fit = recognise_version(f, *v, &options);
    if (best.misfits < 0 || fit.misfits < best.misfits) best = fit;
  }
  return best;
}

static Fit fit_hooked(TensorFile *f, const Version *v, Dims *d, const char *names, const Hook *const *given)
{
  metadata_hooks(f, names, given, d);
  Dims full = version_complete(v, d);
  return recognise_version(f, v, &full);
}

Fit recognise_file(TensorFile *f, const Hook *const *given)
{
  Dims d;
  const char *names;
  const Version *v = model_hooked(f, &d, &names);
  return v ? fit_hooked(f, v, &d, names, given) : closest_version(f);
}

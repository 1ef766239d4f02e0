/* Which version a file is, and at which sizes. */
#include "recognise.h"

#include "layout.h"
#include "metadata.h"

#include "engine/err.h"
#include "io/names.h"

#include <stdio.h>
#include <string.h>

static void misfit(Fit *fit, const char *text)
{
  if (fit->misfits++ == 0) snprintf(fit->problem, sizeof fit->problem, "%s", text);
}

/* What has a number for each channel, where the version has one for each head or a matrix [H,N]: how many heads there
   are must be known otherwise. Its numbers stand in the order of [H,N]. */
typedef enum { NOT_FLAT, FLAT_FITS, FLAT_MISFITS } Flat;

static Flat fit_flat(Fit *fit, const LayoutParam *p, const FileTensor *t)
{
  const ShapeSpec *s = &p->spec->shape;
  size_t heads = offsetof(Dims, H), size = offsetof(Dims, N);
  bool matrix = s->axes == 2 && s->size[0] == heads && s->size[1] == size;
  bool by_head = s->axes == 1 && s->size[0] == heads && fit->d.A > 1 && t->n == (size_t)fit->d.A; /* v5.0, v5.1 */
  bool flat = matrix && t->axes != 2 && t->axes > 0 && t->n == (size_t)t->shape[t->axes - 1];
  if (!t->n || !(flat || by_head)) return NOT_FLAT;
  int N = fit->d.N ? fit->d.N : fit->head_size;
  if (flat && N && t->n % (size_t)N == 0 && (!fit->d.H || fit->d.H == (int)t->n / N)) {
    fit->d.N = N, fit->d.H = (int)t->n / N;
    return FLAT_FITS;
  }
  fit->headless += !N;
  return FLAT_MISFITS;
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

  Flat flat = fit_flat(fit, p, e);
  if (flat == FLAT_FITS) return;
  if (flat == FLAT_MISFITS) {
    snprintf(text, sizeof text,
             "%s is %s, which does not say how many heads there are: expected [H,N], head_size in the metadata, or the "
             "option head_size",
             p->name, shape_text(e->axes, e->shape));
    misfit(fit, text);
    return;
  }
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
  Dims d = {0};
  char name[80];
  dims_constants(&d);
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
  const char *tie = file_meta(f, "config.tie_word_embeddings");
  /* told, not guessed: a file without a head is a broken one */
  d.tied = (tied && strcmp(tied, "1") == 0) || (tie && strcmp(tie, "true") == 0 && !file_find(f, "head.weight"));
  d.pre_ffn = file_find(f, "blocks.0.ffnPre.key.weight") != NULL;
  const FileTensor *head_q = file_find(f, "head_q.weight");
  if (head_q && head_q->axes == 2) d.Q = head_q->shape[0];
  return d;
}

static bool ends(const char *name, const char *with)
{
  size_t n = strlen(name), m = strlen(with);
  return n >= m && strcmp(name + n - m, with) == 0;
}

bool recognise_state(const char *name) { return ends(name, ".att.time_state"); }

static bool begins(const char *name, const char *with) { return strncmp(name, with, strlen(with)) == 0; }

bool recognise_golden(const TensorFile *f)
{
  const char *format = file_meta(f, "format");
  return format && begins(format, "aviary golden ");
}

/* What a golden pack holds besides a model. */
static bool computed(const char *name)
{
  static const char *const alone[] = {"tokens", "targets", "logits", "loss"};
  static const char *const first[] = {"trace.", "state.", "grad.", "f32.", "bf16.", "fp16."};
  bool is = false;
  for (int i = 0; i < COUNT(alone); i++) is |= strcmp(name, alone[i]) == 0;
  for (int i = 0; i < COUNT(first); i++) is |= begins(name, first[i]);
  return is;
}

bool recognise_param(const TensorFile *f, const char *name)
{
  return !begins(name, "optim.") && !begins(name, CARRIED_PREFIX) && !ends(name, "copy_mask") &&
         !ends(name, "tiny_mask") && !recognise_state(name) && !(recognise_golden(f) && computed(name));
}

typedef struct {
  const TensorFile *file;
  bool *known; /* [tensors of the file] whether the version has a parameter of this name */
} Marks;

static void mark_known(void *ctx, const LayoutParam *p)
{
  const Marks *n = ctx;
  const FileTensor *e = p->expected || layout_is_spare(p) ? file_find(n->file, p->name) : NULL;
  if (e) n->known[e - file_tensor(n->file, 0)] = true;
}

/* The first tensor of the file that is no parameter of the version. */
static const char *first_unknown(const Fit *fit)
{
  int count = file_count(fit->file), i = 0;
  Marks n = {fit->file, rwkv_alloc((size_t)count, sizeof *n.known, file_path(fit->file))};
  layout_each_param(fit->version, &fit->d, mark_known, &n);
  while (i < count && (n.known[i] || !recognise_param(fit->file, file_tensor(fit->file, i)->name))) i++;
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

static Fit fit_version(TensorFile *f, const Version *v, const Dims *d, int head_size)
{
  int total = 0;
  Fit fit = {.version = v, .file = f, .d = *d, .head_size = head_size};
  for (int i = 0; i < file_count(f); i++) total += recognise_param(f, file_tensor(f, i)->name);
  layout_each_param(v, d, fit_param, &fit);
  left_over(&fit, total);
  return fit;
}

/* What it is without shapes: as the option says, or the metadata, also of Hugging Face's config.json. */
static int told_head_size(const TensorFile *f, const LoadOptions *o)
{
  static const char *const keys[] = {"head_size", "config.head_size", "config.head_dim", "rwkv7.wkv.head_size"};
  long size = o->head_size;
  for (size_t i = 0; !size && i < sizeof keys / sizeof *keys; i++) {
    const char *text = file_meta(f, keys[i]);
    if (text && !metadata_number(text, strlen(text), 1 << 20, &size)) size = 0;
  }
  return (int)size;
}

static Fit closest_version(TensorFile *f, int head_size)
{
  Fit best = {.misfits = -1};
  const Dims options = options_of(f);
  for (const Version *const *v = version_list(); *v; v++) {
    Fit fit = fit_version(f, *v, &options, head_size);
    if (best.misfits < 0 || fit.misfits < best.misfits) best = fit;
  }
  return best;
}

/* Before the names are looked at: those of intermediates contain a model's. */
static bool has_weights(const TensorFile *f)
{
  for (int i = 0; i < file_count(f); i++)
    if (recognise_param(f, file_tensor(f, i)->name)) return true;
  return false;
}

_Noreturn static void no_weights(const TensorFile *f)
{
  const char *of = file_meta(f, "weights.file");
  rwkv_fail("a golden pack without its weights: they are those of %.200s", of ? of : "another file");
}

Fit recognise_file(TensorFile *f, const LoadOptions *o)
{
  Dims d;
  const char *hooks;
  if (recognise_golden(f) && !has_weights(f)) no_weights(f);
  names_official(f);
  const Version *v = model_hooked(f, &d, &hooks);
  if (!v) return closest_version(f, told_head_size(f, o));
  metadata_hooks(f, v, hooks, o->hooks, &d);
  Dims full = version_complete(v, &d);
  return fit_version(f, v, &full, 0);
}

/* What kind of file it is where no tensor is of a model, and a hint for a part of one. */
_Noreturn static void not_a_model(const Fit *fit)
{
  const char *name = strrchr(file_path(fit->file), '/');
  name = name ? name + 1 : file_path(fit->file);
  if (strstr(name, "-of-"))
    rwkv_fail("one of several files of a model: open their directory or index (alone, %s)", fit->problem);
  if (file_find(fit->file, "emb_rosa.emb.weight") || file_find(fit->file, "rosa1.rosa_qkv.emb") ||
      file_find(fit->file, "blocks.0.rosa.rosa_qkv.emb"))
    rwkv_fail("a model with ROSA layers, which rwkv.rosa_models.load reads");
  if (fit->d.L < 1) {
    const char *first = file_count(fit->file) ? file_tensor(fit->file, 0)->given : NULL;
    rwkv_fail(
        "not an RWKV model: no tensor is called \"blocks.0...\", as in official files, \"model.layers.0.attn...\" "
        "(fla) or \"rwkv.blocks.0...\" (transformers); %s%.80s",
        first ? "the first one is " : "there is none", first ? first : "");
  }
  if (fit->headless == fit->misfits) rwkv_fail("%s", fit->problem);
  rwkv_fail("not a model of any version; %s comes closest, but %s%s", fit->version->name, fit->problem,
            fit->misfits > 1 ? " (and more)" : "");
}

Fit recognise_model(TensorFile *f, const LoadOptions *o)
{
  Fit fit = recognise_file(f, o);
  for (int i = 0; i < file_count(f); i++)
    if (file_tensor(f, i)->n == 0 && recognise_param(f, file_tensor(f, i)->name))
      rwkv_fail("tensor \"%s\" is empty", file_tensor(f, i)->given);
  if (fit.d.L < 1 || fit.misfits) not_a_model(&fit);
  metadata_sizes(f, fit.version, &fit.d);
  Fit told = fit_version(f, fit.version, &fit.d, 0);
  if (told.misfits) rwkv_fail("its metadata and its tensors are of different models: %s", told.problem);
  fit.d = version_complete(fit.version, &fit.d);
  if (o->head_size && fit.d.N && fit.d.N != o->head_size)
    rwkv_fail("head_size %d was asked for, its heads have %d", o->head_size, fit.d.N);
  return fit;
}

/* Models from files. */
#include "build.h"
#include "metadata.h"
#include "recognise.h"

#include "engine/err.h"

typedef struct {
  TensorFile *file;
  const Hook *const *hooks;
  bool packed;
  Fit fit;
  Model *result;
} Load;

static void load_param(void *ctx, const LayoutParam *p)
{
  Load *l = ctx;
  Storage stored;
  const FileTensor *e = file_find(l->file, p->name);
  if (!e || !(p->expected || layout_is_spare(p))) return;
  bool as_stored = l->packed && layout_may_pack(p) && file_storage(e->type, &stored);
  file_read_tensor(l->file, e, model_add_param(l->result, p, as_stored ? &stored : NULL));
}

/* About what the parameters need, with their structs, each at a multiple of 64 bytes. */
static size_t packed_bytes(const TensorFile *f)
{
  Storage stored;
  size_t bytes = 0;
  for (int i = 0; i < file_count(f); i++) {
    const FileTensor *e = file_tensor(f, i);
    bool kept = e->axes == 2 && file_storage(e->type, &stored);
    if (recognise_param(e->name)) bytes += sizeof(Tensor) + e->n * (kept ? storage_size(stored) : sizeof(real)) + 128;
  }
  return bytes;
}

static void load_protected(void *arg)
{
  Load *l = arg;
  TensorFile *f = l->file;
  Fit *fit = &l->fit;
  for (int i = 0; i < file_count(f); i++)
    if (file_tensor(f, i)->n == 0 && recognise_param(file_tensor(f, i)->name))
      rwkv_fail("tensor \"%s\" is empty", file_tensor(f, i)->name);
  *fit = recognise_file(f, l->hooks);
  if (fit->d.L < 1) rwkv_fail("no tensor is called \"blocks.0...\": not an RWKV model");
  if (fit->misfits)
    rwkv_fail("not a model of any version; %s comes closest, but %s%s", fit->version->name, fit->problem,
              fit->misfits > 1 ? " (and more)" : "");
  metadata_sizes(f, fit->version, &fit->d);
  Fit told = recognise_version(f, fit->version, &fit->d);
  if (told.misfits) rwkv_fail("its metadata and its tensors are of different models: %s", told.problem);
  fit->d = version_complete(fit->version, &fit->d);
  l->result = model_empty(fit->version, &fit->d);
  if (l->packed) model_reserve(l->result, packed_bytes(f));
  layout_each_param(fit->version, &fit->d, load_param, l);
}

static Model *load(TensorFile *f, const Hook *const *hooks, bool packed)
{
  Load l = {.file = f, .hooks = hooks, .packed = packed};
  const char *error = rwkv_protect(load_protected, &l);
  if (!error) return l.result;
  model_free(l.result);
  file_fail(f, error);
}

Model *model_load(TensorFile *f, const Hook *const *hooks) { return load(f, hooks, false); }
Model *model_load_packed(TensorFile *f, const Hook *const *hooks) { return load(f, hooks, true); }

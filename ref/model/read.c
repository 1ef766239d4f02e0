/* Models from files. */
#include "build.h"
#include "metadata.h"
#include "recognise.h"

#include "engine/err.h"

typedef struct {
  TensorFile *file;
  const LoadOptions *options;
  Model *result;
} Load;

/* A matrix in the numbers that are computed with is multiplied faster in memory; a table is left where it is. */
static bool stays_there(const Model *m, const LayoutParam *p, Storage stored)
{
  bool as_computed = stored == STORED_F32 && sizeof(real) == sizeof(float);
  return !as_computed || layout_is_table(m->version, &m->d, p->spec);
}

static void load_param(void *ctx, const LayoutParam *p)
{
  Load *l = ctx;
  Model *m = l->result;
  Packed there;
  const FileTensor *t = file_find(l->file, p->name);
  if (!t || !(p->expected || layout_is_spare(p))) return;
  bool as_stored = l->options->packed && layout_may_pack(p) && file_storage(t->type, &there.storage);
  there.bits = as_stored && m->file ? file_bits(t, &there.storage) : NULL;
  if (there.bits && stays_there(m, p, there.storage)) model_see_param(m, p, there);
  else file_read_tensor(l->file, t, model_add_param(m, p, as_stored ? &there.storage : NULL));
}

/* About what the parameters need that do not stay in the file, with their structs, each at a multiple of 64 bytes. */
static size_t packed_bytes(const TensorFile *f, bool stays)
{
  Storage stored;
  size_t bytes = 0;
  for (int i = 0; i < file_count(f); i++) {
    const FileTensor *t = file_tensor(f, i);
    bool kept = t->axes == 2 && file_storage(t->type, &stored);
    size_t size = kept ? storage_size(stored) : sizeof(real);
    if (!recognise_param(f, t->name)) continue;
    bytes += sizeof(Tensor) + 128 + (kept && stays && file_bits(t, &stored) ? 0 : t->n * size);
  }
  return bytes;
}

static void load_protected(void *arg)
{
  Load *l = arg;
  const Fit fit = recognise_model(l->file, l->options);
  Model *m = l->result = model_empty(fit.version, &fit.d);
  if (l->options->packed) {
    bool stays = tensor_can_see();
    model_reserve(m, packed_bytes(l->file, stays));
    if (stays) m->file = file_keep(l->file);
  }
  layout_each_param(fit.version, &fit.d, load_param, l);
  file_forget(l->file);
}

Model *model_load(TensorFile *f, const LoadOptions *options)
{
  Load l = {.file = f, .options = options ? options : &(LoadOptions){.packed = false}};
  const char *error = rwkv_protect(load_protected, &l);
  if (!error) return l.result;
  model_free(l.result);
  file_fail(f, error);
}

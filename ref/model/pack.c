/* A copy of a model for inference, with its large matrices in fewer bits. */
#include "build.h"

#include "engine/err.h"

#include <string.h>

typedef struct {
  const Model *from;
  Storage storage;
  Model *to;
} Pack;

static void pack_matrix(const Param *from, Tensor *to, Storage storage)
{
  real numbers[1 << 14];
  uint32_t bits[COUNT(numbers)];
  for (size_t at = 0, count; at < to->n; at += count) {
    count = to->n - at < COUNT(numbers) ? to->n - at : COUNT(numbers);
    tensor_read(from->t, at, count, numbers);
    size_t bad = packed_write(bits, storage, numbers, count);
    if (bad < count)
      rwkv_fail("pack: %s has the number %g at place %zu, which is too large for %s", from->name, (double)numbers[bad],
                at + bad + 1, storage_names[storage]);
    tensor_write_packed(to, at, count, bits);
  }
}

static void pack_param(void *ctx, const LayoutParam *p)
{
  Pack *k = ctx;
  const Param *from = model_param((Model *)k->from, p->name);
  if (!from) return;
  Tensor *to = model_add_param(k->to, p, layout_may_pack(p) ? &k->storage : NULL);
  if (to->packed.bits) pack_matrix(from, to, k->storage);
  else tensor_copy(to, from->t);
}

static void build(void *arg)
{
  Pack *k = arg;
  size_t bytes = 0;
  k->to = model_empty(k->from->version, &k->from->d);
  for (int i = 0; i < k->from->count; i++) {
    const Tensor *t = k->from->params[i].t;
    bytes += sizeof *t + t->n * (t->axes == 2 ? storage_size(k->storage) : sizeof(real)) + 128;
  }
  model_reserve(k->to, bytes);
  k->to->rounded_decay = k->from->rounded_decay;
  layout_each_param(k->from->version, &k->from->d, pack_param, k);
}

Model *model_pack(const Model *m, Storage storage)
{
  if (m->inference) rwkv_fail("pack: the weights of this model are packed; load it as it is to pack it otherwise");
  Pack k = {m, storage, NULL};
  const char *error = rwkv_protect(build, &k);
  if (error) {
    model_free(k.to);
    rwkv_fail("%s", error);
  }
  return k.to;
}

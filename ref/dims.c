#include "dims.h"

#include "engine/err.h"

#include <math.h>

int dims_lora_rank(double f) { return (int)fmax(32, 32 * nearbyint(f / 32)); }

void dims_constants(Dims *d)
{
  d->one = 1, d->four = 4, d->five = 5, d->six = 6;
  d->side = 32, d->square = d->side * d->side;
  d->query = 256;
}

int dims_size(const Dims *d, size_t size)
{
  if (size >= sizeof(Dims)) return (int)(size - sizeof(Dims));
  return *(const int *)(const void *)((const char *)d + size);
}

int *dims_at(Dims *d, size_t offset) { return (int *)(void *)((char *)d + offset); }

const Hook *dims_hook(const Dims *d, HookSlot slot, int layer)
{
  return d->layer_hook[slot] ? d->layer_hook[slot][layer] : d->hook[slot];
}

bool dims_hooked(const Dims *d, HookSlot slot)
{
  for (int layer = 0; d->layer_hook[slot] && layer < d->L; layer++)
    if (d->layer_hook[slot][layer]) return true;
  return d->hook[slot] && !d->layer_hook[slot];
}

void dims_complete_heads(const char *version, Dims *d, int default_head)
{
  if (!d->H && !d->N) d->N = d->A % default_head == 0 ? default_head : d->A;
  if (!d->N) d->N = d->A / d->H;
  if (!d->H) d->H = d->A / d->N;
  if (d->H < 1 || d->N < 1 || (int64_t)d->H * d->N != d->A)
    rwkv_fail("%s: %d channels cannot be split into %d heads of size %d", version, d->A, d->H, d->N);
}

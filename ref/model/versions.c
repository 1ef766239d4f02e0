/* The table of versions, and what is left open in the sizes of a model. */
#include "model.h"

#include "engine/err.h"
#include "engine/nearest.h"

#include <stdio.h>
#include <string.h>

#define ADDRESS(id) &version_##id,
static const Version *const versions[] = {VERSIONS(ADDRESS) NULL};

const Version *const *version_list(void) { return versions; }

const Version *version_find(const char *name)
{
  const char *known[COUNT(versions)] = {NULL};
  for (int i = 0; versions[i]; i++) {
    if (strcmp(versions[i]->name, name) == 0) return versions[i];
    known[i] = versions[i]->name;
  }
  rwkv_fail("there is no version \"%s\"%s", name, nearest_listed(name, known));
}

/* layer: -1 for all of them; whole: what replaces all of the part, or the slot itself */
_Noreturn static void no_place(const Version *v, HookSlot slot, HookSlot whole, int layer)
{
  char where[24] = "";
  if (layer >= 0) snprintf(where, sizeof where, ", layer %d", layer + 1);
  if (whole == slot)
    rwkv_fail("%s%s: hook %s has no place: %s", v->name, where, hook_slots[slot].name,
              layer < 0 ? "no layer does that" : "this layer does not do that");
  rwkv_fail("%s%s: hook %s has no place beside hook %s, which replaces all of it", v->name, where,
            hook_slots[slot].name, hook_slots[whole].name);
}

/* A hook in all layers needs one in which it has a place; of a list by layer, each hook needs it. */
static void check_places(const Version *v, const Dims *d, HookSlot slot)
{
  const char *name = hook_slots[slot].name;
  HookSlot whole = strcmp(hook_slots[slot].part, "att") == 0 ? HOOK_TIME_MIX : HOOK_CHANNEL_MIX;
  int works = 0;
  bool replaced = false;
  for (int layer = 0; layer < d->L; layer++) {
    const Hook *h = dims_hook(d, slot, layer);
    if (!h) continue;
    if (h->slot != slot)
      rwkv_fail("%s: hook \"%s\" is for %s, not for %s", v->name, h->name, hook_slots[h->slot].name, name);
    replaced = slot != whole && !hook_slots[slot].around && dims_hook(d, whole, layer);
    works += hook_slot_in_layer(d, slot, layer);
    if (d->layer_hook[slot] && !hook_slot_in_layer(d, slot, layer)) no_place(v, slot, replaced ? whole : slot, layer);
  }
  if (!works) no_place(v, slot, replaced ? whole : slot, -1);
}

/* Every hook must have a slot in this version, and a place in the block. */
static void check_hooks(const Version *v, const Dims *d)
{
  char known[256] = "";
  for (int slot = 0; slot < HOOK_SLOTS; slot++)
    if (v->own[slot]) snprintf(known + strlen(known), sizeof known - strlen(known), " %s", hook_slots[slot].name);
  for (HookSlot slot = 0; slot < HOOK_SLOTS; slot++) {
    if (!dims_hooked(d, slot)) continue;
    if (!v->own[slot]) rwkv_fail("%s has no hook %s; it has:%s", v->name, hook_slots[slot].name, known);
    check_places(v, d, slot);
  }
}

static bool knows_pre_ffn(const Version *v)
{
  for (int i = 0; i < v->block.count; i++)
    if (v->block.spec[i].where == has_pre_ffn) return true;
  return false;
}

static bool in_shape(const ShapeSpec *s, size_t size)
{
  for (int i = 0; i < s->axes; i++)
    if (s->size[i] == size) return true;
  return false;
}

bool version_has_size(const Version *v, size_t size)
{
  const ParamList *lists[] = {&v->global, &v->block};
  for (size_t k = 0; k < COUNT(lists); k++)
    for (int i = 0; i < lists[k]->count; i++) {
      const ParamSpec *p = &lists[k]->spec[i];
      if (in_shape(&p->shape, size) || (size == offsetof(Dims, tiny_layer) && p->where == has_tiny)) return true;
    }
  return false;
}

static int count_words(const char *text)
{
  int n = 0;
  for (; text && *text; text++) n += *text != ' ' && (text[1] == ' ' || !text[1]);
  return n;
}

Dims version_complete(const Version *v, const Dims *d)
{
  Dims full = *d;
  if (d->V < 1 || d->C < 1 || d->L < 1)
    rwkv_fail("%s: vocab %d, dim %d and layers %d must all be at least 1", v->name, d->V, d->C, d->L);
  if (d->V > 1 << 24 || d->C > 1 << 20 || d->L > 1 << 16)
    rwkv_fail("%s: vocab %d, dim %d, layers %d: that is beyond any sense", v->name, d->V, d->C, d->L);
  for (size_t at = 0; at < offsetof(Dims, hook); at += sizeof(int))
    if (*dims_at(&full, at) < 0 || *dims_at(&full, at) > 1 << 24)
      rwkv_fail("%s: a size of %d is not possible", v->name, *dims_at(&full, at));
  if (d->pre_ffn && !knows_pre_ffn(v)) rwkv_fail("%s has no second channel mix in block 0 (pre_ffn)", v->name);
  dims_constants(&full);
  full.history = 0;
  full.streams = count_words(v->streams), full.ffn_streams = count_words(v->ffn_streams);
  v->complete(&full);
  check_hooks(v, &full);
  for (HookSlot slot = 0; slot < HOOK_SLOTS; slot++)
    for (int layer = 0; layer < full.L; layer++) {
      const Hook *h = dims_hook(&full, slot, layer);
      if (h && h->complete) h->complete(&full);
    }
  return full;
}

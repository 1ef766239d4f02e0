/* Hooks: the table of slots, and what happens when one is used. */
#include "hook.h"

#include "engine/err.h"
#include "engine/nearest.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define WIDTH(size) offsetof(Dims, size)
#define ANY .low = -INFINITY, .high = INFINITY

const Slot hook_slots[HOOK_SLOTS] = {
    [HOOK_SHIFT] = {"shift", "att", "x prev", "a [B,T,C] for each stream", WIDTH(C), ANY},
    [HOOK_FFN_SHIFT] = {"ffn_shift", "ffn", "x prev", "a [B,T,C] for each stream", WIDTH(C), ANY},
    [HOOK_RECEPTANCE] = {"receptance", "att", "x", "[B,T,A]", WIDTH(A), ANY},
    [HOOK_DECAY] = {"decay", "att", "x", "log-decay, at most 0, nats a step: [B,T,A], or [A] for all tokens", WIDTH(A),
                    .constant = true, .low = -INFINITY, .high = 0},
    [HOOK_ICLR] = {"iclr", "att", "x w", "in-context learning rate, 0 to 2: [B,T,A], or [A] for all tokens", WIDTH(A),
                   .constant = true, .low = 0, .high = 2},
    [HOOK_GATE] = {"gate", "att", "x", "factor of the output: [B,T,A], [A] or nothing", WIDTH(A), .constant = true,
                   .nothing = true, ANY},
    [HOOK_BONUS] = {"bonus", "att", "r k v", "what the token adds to its own output: [B,T,A] or nothing", WIDTH(A),
                    .nothing = true, ANY},
    [HOOK_KEY_NORM] = {"key_norm", "att", "k x", "removal key: [B,T,A]", WIDTH(A), ANY},
    [HOOK_KEY_SCALE] = {"key_scale", "att", "k a w xk xa", "the key that is written: [B,T,A]", WIDTH(A), ANY},
    [HOOK_VALUE_RESIDUAL] = {"value_residual", "att", "v v_first x", "value, from layer 2 on: [B,T,A]", WIDTH(A), ANY},
    [HOOK_RECURRENCE] = {"recurrence", "att", "", "[B,T,A]", WIDTH(A), ANY},
    [HOOK_NORM] = {"norm", "att", "y", "[B,T,A]", WIDTH(A), ANY},
    [HOOK_TIME_MIX] = {"time_mix", "att", "x", "[B,T,C]", WIDTH(C), ANY},
    [HOOK_CHANNEL_MIX] = {"channel_mix", "ffn", "x", "[B,T,C]", WIDTH(C), ANY},
    [HOOK_TIME_OUT] = {"time_out", "att", "y", "what is added to the residual stream: [B,T,C]", WIDTH(C),
                       .around = true, ANY},
    [HOOK_CHANNEL_OUT] = {"channel_out", "ffn", "y", "what is added to the residual stream: [B,T,C]", WIDTH(C),
                          .around = true, ANY},
    [HOOK_EMBED_NORM] = {"embed_norm", "ln0", "x", "[B,T,C]; in layer 1", WIDTH(C), .around = true, ANY},
};

int hook_slot(const char *name)
{
  const char *known[HOOK_SLOTS + 1] = {NULL};
  for (int i = 0; i < HOOK_SLOTS; i++) {
    if (strcmp(name, hook_slots[i].name) == 0) return i;
    known[i] = hook_slots[i].name;
  }
  rwkv_fail("there is no hook slot \"%s\"%s", name, nearest_listed(name, known));
}

bool hook_slot_in_layer(const Dims *d, HookSlot slot, int layer)
{
  if (slot == HOOK_EMBED_NORM) return layer == 0;
  bool ffn = strcmp(hook_slots[slot].part, "ffn") == 0;
  HookSlot whole = ffn ? HOOK_CHANNEL_MIX : HOOK_TIME_MIX;
  if (slot != whole && !hook_slots[slot].around && dims_hook(d, whole, layer)) return false;
  return ffn || (!has_pre_ffn(d, layer) && (slot != HOOK_VALUE_RESIDUAL || has_earlier_values(d, layer)));
}

bool hook_works(const Dims *d, HookSlot slot, int layer)
{
  return dims_hook(d, slot, layer) && hook_slot_in_layer(d, slot, layer);
}

void hook_param_name(char *out, size_t size, int layer, const Hook *h, const char *param)
{
  const Slot *s = &hook_slots[h->slot];
  if (layer < 0) snprintf(out, size, "%s.%s.%s.%s", s->part, s->name, h->name, param);
  else snprintf(out, size, "blocks.%d.%s.%s.%s.%s", layer, s->part, s->name, h->name, param);
}

/* ---- use ---- */

/* "hook decay "floor" (script.lua:3), layer 1" */
static const char *title(const Hook *h, int layer)
{
  static char text[300];
  snprintf(text, sizeof text, "hook %s \"%s\"%s%s%s, layer %d", hook_slots[h->slot].name, h->name,
           h->origin ? " (" : "", h->origin ? h->origin : "", h->origin ? ")" : "", layer + 1);
  return text;
}

static const char *returned(const void *call)
{
  static char text[320];
  const HookCall *c = call;
  snprintf(text, sizeof text, "%s: returned", title(c->hook, c->ps->layer));
  return text;
}

static void check_numbers(const HookCall *c, const Tensor *t)
{
  const Slot *s = &hook_slots[c->hook->slot];
  char what[60] = "a finite number";
  if (isfinite(s->low)) snprintf(what, sizeof what, "%g to %g", s->low, s->high);
  else if (isfinite(s->high)) snprintf(what, sizeof what, "at most %g", s->high);
  bounds_check(c->ps->tp->checks, t, &(BoundsRange){s->low, s->high, 0, what}, returned, c);
}

static void check(const HookCall *c, const Tensor *t)
{
  const Slot *s = &hook_slots[c->hook->slot];
  const Pass *ps = c->ps;
  int full[] = {ps->B, ps->T, dims_size(ps->d, s->width)};
  if (!t && s->nothing) return;
  if (!t) rwkv_fail("%s: returned nothing, expected %s", title(c->hook, ps->layer), shape_text(3, full));
  bool fits = t->axes == 3 && memcmp(t->shape, full, sizeof full) == 0;
  if (s->constant) fits |= t->axes == 0 || (t->axes == 1 && t->shape[0] == full[2]);
  if (!fits)
    rwkv_fail("%s: returned %s, expected %s%s%s", title(c->hook, ps->layer), tensor_shape(t), shape_text(3, full),
              s->constant ? " or " : "", s->constant ? shape_text(1, full + 2) : "");
  check_numbers(c, t);
}

/* [] -> [width]: a recurrence wants every channel written out */
static Tensor *for_all_channels(const HookCall *c, Tensor *t)
{
  int width = dims_size(c->ps->d, hook_slots[c->hook->slot].width);
  return t_add(c->ps->tp, t, tape_zeros(c->ps->tp, 1, &width));
}

static void use(Pass *ps, HookSlot slot, Tensor **in, int in_count, Tensor **out, int out_count)
{
  HookCall c = {
      dims_hook(ps->d, slot, ps->layer), ps, in, in_count, ps->hook_param[slot], ps->hook_state[slot], out, out_count};
  size_t failures = bounds_failures();
  c.hook->apply(&c);
  bounds_fail_again(failures);
  for (int i = 0; i < out_count; i++) {
    check(&c, out[i]);
    if (out[i] && out[i]->axes == 0) out[i] = for_all_channels(&c, out[i]);
  }
}

Tensor *hook_apply(Pass *ps, HookSlot slot, Tensor **in, int in_count)
{
  Tensor *out = NULL;
  use(ps, slot, in, in_count, &out, 1);
  return out;
}

int hook_streams(const Dims *d, HookSlot slot) { return slot == HOOK_SHIFT ? d->streams : d->ffn_streams; }

Tensor **hook_shift(Pass *ps, HookSlot slot, Tensor *x, Tensor *prev)
{
  if (!dims_hook(ps->d, slot, ps->layer)) return NULL;
  int streams = hook_streams(ps->d, slot);
  Tensor **out = arena_alloc(&ps->tp->arena, (size_t)streams * sizeof *out);
  memset(out, 0, (size_t)streams * sizeof *out);
  use(ps, slot, (Tensor *[]){x, prev}, 2, out, streams);
  return out;
}

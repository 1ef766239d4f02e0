#include "where.h"

bool always(const Dims *d, int layer) { return (void)d, (void)layer, true; }
bool has_ln0(const Dims *d, int layer) { return layer == 0 && !dims_hook(d, HOOK_EMBED_NORM, layer); }
bool has_idle_ln0(const Dims *d, int layer) { return (void)d, (void)layer, false; }
bool has_pre_ffn(const Dims *d, int layer) { return layer == 0 && d->pre_ffn; }
bool has_time_mix(const Dims *d, int layer) { return !has_pre_ffn(d, layer) && !dims_hook(d, HOOK_TIME_MIX, layer); }
bool has_channel_mix(const Dims *d, int layer) { return !dims_hook(d, HOOK_CHANNEL_MIX, layer); }
bool has_shift_state(const Dims *d, int layer) { return has_pre_ffn(d, layer) || has_time_mix(d, layer); }
bool has_tiny(const Dims *d, int layer) { return d->tiny_layer > 0 && (layer < 0 || layer + 1 == d->tiny_layer); }
bool has_head(const Dims *d, int layer) { return (void)layer, !d->tied; }
bool has_copy_head(const Dims *d, int layer) { return (void)layer, d->Q > 0; }

bool has_earlier_values(const Dims *d, int layer)
{
  for (int earlier = 0; earlier < layer; earlier++)
    if (has_time_mix(d, earlier)) return true;
  return false;
}

static bool has_two_values(const Dims *d, int layer) { return has_time_mix(d, layer) && has_earlier_values(d, layer); }

/* The block has the part, and no hook does this in it. */
#define UNHOOKED(name, part, slot) \
  bool has_##name(const Dims *d, int layer) { return part(d, layer) && !dims_hook(d, slot, layer); }
UNHOOKED(shift, has_time_mix, HOOK_SHIFT)
UNHOOKED(ffn_shift, has_channel_mix, HOOK_FFN_SHIFT)
UNHOOKED(receptance, has_time_mix, HOOK_RECEPTANCE)
UNHOOKED(decay, has_time_mix, HOOK_DECAY)
UNHOOKED(iclr, has_time_mix, HOOK_ICLR)
UNHOOKED(gate, has_time_mix, HOOK_GATE)
UNHOOKED(bonus, has_time_mix, HOOK_BONUS)
UNHOOKED(key_norm, has_time_mix, HOOK_KEY_NORM)
UNHOOKED(key_scale, has_time_mix, HOOK_KEY_SCALE)
UNHOOKED(value_residual, has_two_values, HOOK_VALUE_RESIDUAL)
UNHOOKED(recurrence, has_time_mix, HOOK_RECURRENCE)
UNHOOKED(norm, has_time_mix, HOOK_NORM)

/* Channel mixing from v2 to v5: a gated two-layer network on a mix of this token and the one before. */
#include "version.h"

static Tensor *mixed_channels(Tape *tp, Tensor *xk, Tensor *xr, Tensor *key, Tensor *receptance, Tensor *value)
{
  Tensor *k = t_relu2(tp, t_linear(tp, xk, key));                          /* [v2.6] [v4.8]  [B,T,F] */
  Tensor *r = t_sigmoid(tp, t_linear(tp, xr, receptance));
  return t_mul(tp, r, t_linear(tp, k, value));                             /* [v4.9] */
}

Tensor *plain_channel_mix(Tape *tp, Tensor *x, Tensor **carry, Tensor *mix_k, Tensor *mix_r, Tensor *key,
                          Tensor *receptance, Tensor *value)
{
  Tensor *prev = t_shift(tp, x, carry);                                    /* [B,T,C] */
  Tensor *xk = t_lerp(tp, prev, x, mix_k);                                 /* mu x_t + (1 - mu) x_{t-1} */
  Tensor *xr = mix_r == mix_k ? xk : t_lerp(tp, prev, x, mix_r);
  return mixed_channels(tp, xk, xr, key, receptance, value);
}

Tensor *channel_mix(Pass *ps, Tensor *x, Tensor **carry, Tensor *mix_k, Tensor *mix_r, Tensor *key,
                    Tensor *receptance, Tensor *value)
{
  Tape *tp = ps->tp;
  if (ps->d->hook[HOOK_CHANNEL_MIX]) return hook_apply(ps, HOOK_CHANNEL_MIX, &x, 1);
  if (!ps->d->hook[HOOK_FFN_SHIFT]) return plain_channel_mix(tp, x, carry, mix_k, mix_r, key, receptance, value);
  Tensor **m = hook_shift(ps, HOOK_FFN_SHIFT, x, t_shift(tp, x, carry));   /* k, r; in v2 one for both */
  return mixed_channels(tp, m[0], m[ps->d->ffn_streams - 1], key, receptance, value);
}

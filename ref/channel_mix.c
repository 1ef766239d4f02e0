/* Channel mixing from v2 to v5: a gated two-layer network on a mix of this token and the one before. */
#include "version.h"

/* part: "ffn", or "ffnPre" of block 0 */
static Tensor *mixed_channels(Pass *ps, const char *part, Tensor *x, Tensor *xk, Tensor *xr, Tensor *key,
                              Tensor *receptance, Tensor *value)
{
  Tape *tp = ps->tp;
  Tensor *k = t_relu2(tp, t_linear(tp, xk, key)); /* [v2.6] [v4.8]  [B,T,F] */
  Tensor *r = t_sigmoid(tp, t_linear(tp, xr, receptance));
  Tensor *out = t_mul(tp, r, t_linear(tp, k, value)); /* [v4.9] */
  TRACE(ps, part, "x xk xr k r out", x, xk, xr, k, r, out);
  return out;
}

Tensor *channel_mix_pre_ffn(Pass *ps, Tensor *x, Tensor **carry, Tensor *mix_k, Tensor *mix_r, Tensor *key,
                            Tensor *receptance, Tensor *value)
{
  Tensor *prev = t_shift(ps->tp, x, carry);    /* [B,T,C] */
  Tensor *xk = t_lerp(ps->tp, prev, x, mix_k); /* mu x_t + (1 - mu) x_{t-1} */
  Tensor *xr = mix_r == mix_k ? xk : t_lerp(ps->tp, prev, x, mix_r);
  return mixed_channels(ps, "ffnPre", x, xk, xr, key, receptance, value);
}

Tensor *channel_mix(Pass *ps, Tensor *x, Tensor **carry, Tensor *mix_k, Tensor *mix_r, Tensor *key, Tensor *receptance,
                    Tensor *value)
{
  if (dims_hook(ps->d, HOOK_CHANNEL_MIX, ps->layer)) return hook_apply(ps, HOOK_CHANNEL_MIX, &x, 1);
  Tensor *mu[] = {mix_k, mix_r}, *prev = t_shift(ps->tp, x, carry);
  Tensor **m = mixes_prev_to_x(ps, HOOK_FFN_SHIFT, x, prev, mu); /* k, r; in v2 one for both */
  return mixed_channels(ps, "ffn", x, m[0], m[ps->d->ffn_streams - 1], key, receptance, value);
}

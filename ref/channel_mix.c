/* Channel mixing from v2 to v5: a gated two-layer network on a mix of this token and the one before. */
#include "version.h"

Tensor *channel_mix(Tape *tp, Tensor *x, Tensor **carry, Tensor *mix_k, Tensor *mix_r, Tensor *key,
                    Tensor *receptance, Tensor *value)
{
  Tensor *prev = t_shift(tp, x, carry);                                    /* [B,T,C] */
  Tensor *xk = t_lerp(tp, prev, x, mix_k);                                 /* mu x_t + (1 - mu) x_{t-1} */
  Tensor *xr = mix_r == mix_k ? xk : t_lerp(tp, prev, x, mix_r);
  Tensor *k = t_relu2(tp, t_linear(tp, xk, key));                          /* [v2.6] [v4.8]  [B,T,F] */
  Tensor *r = t_sigmoid(tp, t_linear(tp, xr, receptance));
  return t_mul(tp, r, t_linear(tp, k, value));                             /* [v4.9] */
}

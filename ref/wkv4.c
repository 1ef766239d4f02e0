/* The recurrence of RWKV-4: a weighted mean of values, with weights e^k that fade by e^w a step, w <= 0.
   The sums  A = sum e^{k_s + (t-1-s) w} v_s  and  B = sum e^{k_s + (t-1-s) w}  overflow for large keys,
   so they are held as  A = a e^p, B = b e^p  with p the largest exponent so far (the "max trick").

   w is constant in time in RWKV-4 (decay_rows = 1). With one for every token (decay_rows = B T) the exponents
   are  k_s + sum of w_n over s < n < t: as in wkv6, token t's own pair is not decayed when it is stored. */
#include "engine/k_wkv.h"
#include "engine/elementary.h"

#include <math.h>

void k_wkv4(const Wkv4 *op)
{
  size_t B = op->B, T = op->T, C = op->C;
  for (size_t bi = 0; bi < B; bi++)
    for (size_t c = 0; c < C; c++) {
      real a = op->a0[bi * C + c], b = op->b0[bi * C + c], p = op->p0[bi * C + c];
      for (size_t t = 0; t < T; t++) {
        size_t row = bi * T + t, at = row * C + c;
        if (op->trace) {
          op->trace[(row * 3 + 0) * C + c] = a;
          op->trace[(row * 3 + 1) * C + c] = b;
          op->trace[(row * 3 + 2) * C + c] = p;
        }
        acc kt = op->k[at], vt = op->v[at];

        acc now = (acc)op->u[c] + kt; /* [v4.4]  y = (A + e^{u+k} v) / (B + e^{u+k}) */
        acc q = fmax(p, now);
        acc old_weight = m_exp((acc)p - q), now_weight = m_exp(now - q);
        op->y[at] = (real)((old_weight * (acc)a + now_weight * vt) / (old_weight * (acc)b + now_weight));

        acc faded = (acc)p + (acc)op->w[op->decay_rows == 1 ? c : at];
        q = (real)fmax(faded, kt); /* as it will be stored: a, b and p belong together */
        acc keep = m_exp(faded - q), add = m_exp(kt - q);
        a = (real)(keep * (acc)a + add * vt); /* [v4.5]  A <- e^w A + e^k v */
        b = (real)(keep * (acc)b + add);      /* [v4.6]  B <- e^w B + e^k */
        p = (real)q;
      }
      op->a1[bi * C + c] = a, op->b1[bi * C + c] = b, op->p1[bi * C + c] = p;
    }
}

/* ga, gb, gp are the gradients by the state (a, b, p) after token t, walked back to the one before it.
   y does not depend on how the exponent is split off, so only the update's own maximum q matters:
   shifting q scales a and b, which is where gq comes from. */
void k_wkv4_backward(const Wkv4Backward *op)
{
  const Wkv4 *f = &op->forward;
  size_t T = f->T, C = f->C, decay_rows = f->decay_rows;
  for (size_t c = 0; c < C; c++) {
    acc gw = 0, gu = 0;
    for (size_t bi = 0; bi < f->B; bi++) {
      acc ga = op->ga1 ? op->ga1[bi * C + c] : 0, gb = op->gb1 ? op->gb1[bi * C + c] : 0;
      acc gp = op->gp1 ? op->gp1[bi * C + c] : 0;
      for (size_t t = T; t-- > 0;) {
        size_t row = bi * T + t, at = row * C + c, w_at = decay_rows == 1 ? c : at;
        acc a = f->trace[(row * 3 + 0) * C + c], b = f->trace[(row * 3 + 1) * C + c],
            p = f->trace[(row * 3 + 2) * C + c];
        acc kt = f->k[at], vt = f->v[at], gk = 0, gv = 0;

        acc faded = p + (acc)f->w[w_at], q = (real)fmax(faded, kt); /* the update [v4.5], [v4.6] */
        acc keep = m_exp(faded - q), add = m_exp(kt - q);
        acc gkeep = (ga * a + gb * b) * keep; /* by the exponent of keep */
        acc gadd = (ga * vt + gb) * add;      /* by the exponent of add */
        acc gq = gp - gkeep - gadd;           /* both exponents contain -q; p1 = q */
        gv += ga * add;
        gk += gadd + (kt > faded ? gq : 0);
        acc gfaded = gkeep + (kt > faded ? 0 : gq);
        gw += gfaded;
        if (op->gw && decay_rows > 1) op->gw[w_at] += (real)gfaded;
        ga *= keep, gb *= keep, gp = gfaded;

        if (op->gy) { /* the read-out [v4.4] */
          acc now = (acc)f->u[c] + kt, q2 = fmax(p, now);
          acc old_weight = m_exp(p - q2), now_weight = m_exp(now - q2);
          acc den = old_weight * b + now_weight, y = (old_weight * a + now_weight * vt) / den;
          acc g = (acc)op->gy[at] / den;
          acc gnow = g * (vt - y) * now_weight;
          ga += g * old_weight;
          gb -= g * old_weight * y;
          gp += g * old_weight * (a - y * b);
          gv += g * now_weight;
          gk += gnow;
          gu += gnow;
        }
        if (op->gk) op->gk[at] += (real)gk;
        if (op->gv) op->gv[at] += (real)gv;
      }
      if (op->ga0) op->ga0[bi * C + c] += (real)ga;
      if (op->gb0) op->gb0[bi * C + c] += (real)gb;
      if (op->gp0) op->gp0[bi * C + c] += (real)gp;
    }
    if (op->gw && decay_rows == 1) op->gw[c] += (real)gw;
    if (op->gu) op->gu[c] += (real)gu;
  }
}

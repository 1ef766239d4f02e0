/* The recurrence of RWKV-4: a weighted mean of values, with weights e^k that fade by e^w a step, w <= 0.
   The sums  A = sum e^{k_s + (t-1-s) w} v_s  and  B = sum e^{k_s + (t-1-s) w}  overflow for large keys,
   so they are held as  A = a e^p, B = b e^p  with p the largest exponent so far (the "max trick").

   w is constant in time in RWKV-4 (decay_rows = 1). With one for every token (decay_rows = B T) the exponents
   are  k_s + sum of w_n over s < n < t: as in wkv6, token t's own pair is not decayed when it is stored. */
#include "engine/kernels.h"
#include "engine/elementary.h"

#include <math.h>

void k_wkv4(real *y, real *a1, real *b1, real *p1, real *trace, const real *w, const real *u,
            const real *k, const real *v, const real *a0, const real *b0, const real *p0, size_t B,
            size_t T, size_t C, size_t decay_rows)
{
  for (size_t bi = 0; bi < B; bi++)
    for (size_t c = 0; c < C; c++) {
      real a = a0[bi * C + c], b = b0[bi * C + c], p = p0[bi * C + c];
      for (size_t t = 0; t < T; t++) {
        size_t row = bi * T + t, at = row * C + c;
        if (trace) {
          trace[(row * 3 + 0) * C + c] = a;
          trace[(row * 3 + 1) * C + c] = b;
          trace[(row * 3 + 2) * C + c] = p;
        }
        acc kt = k[at], vt = v[at];

        acc now = (acc)u[c] + kt; /* [v4.4]  y = (A + e^{u+k} v) / (B + e^{u+k}) */
        acc q = fmax(p, now);
        acc old_weight = m_exp((acc)p - q), now_weight = m_exp(now - q);
        y[at] = (real)((old_weight * (acc)a + now_weight * vt) / (old_weight * (acc)b + now_weight));

        acc faded = (acc)p + (acc)w[decay_rows == 1 ? c : at];
        q = (real)fmax(faded, kt); /* as it will be stored: a, b and p belong together */
        acc keep = m_exp(faded - q), add = m_exp(kt - q);
        a = (real)(keep * (acc)a + add * vt); /* [v4.5]  A <- e^w A + e^k v */
        b = (real)(keep * (acc)b + add);      /* [v4.6]  B <- e^w B + e^k */
        p = (real)q;
      }
      a1[bi * C + c] = a, b1[bi * C + c] = b, p1[bi * C + c] = p;
    }
}

/* ga, gb, gp are the gradients by the state (a, b, p) after token t, walked back to the one before it.
   y does not depend on how the exponent is split off, so only the update's own maximum q matters:
   shifting q scales a and b, which is where gq comes from. */
void k_wkv4_backward(const Wkv4Grads *out, const real *gy, const real *ga1, const real *gb1,
                     const real *gp1, const real *trace, const real *w, const real *u, const real *k,
                     const real *v, size_t B, size_t T, size_t C, size_t decay_rows)
{
  for (size_t c = 0; c < C; c++) {
    acc gw = 0, gu = 0;
    for (size_t bi = 0; bi < B; bi++) {
      acc ga = ga1 ? ga1[bi * C + c] : 0, gb = gb1 ? gb1[bi * C + c] : 0, gp = gp1 ? gp1[bi * C + c] : 0;
      for (size_t t = T; t-- > 0;) {
        size_t row = bi * T + t, at = row * C + c, w_at = decay_rows == 1 ? c : at;
        acc a = trace[(row * 3 + 0) * C + c], b = trace[(row * 3 + 1) * C + c],
            p = trace[(row * 3 + 2) * C + c];
        acc kt = k[at], vt = v[at], gk = 0, gv = 0;

        acc faded = p + (acc)w[w_at], q = (real)fmax(faded, kt); /* the update [v4.5], [v4.6] */
        acc keep = m_exp(faded - q), add = m_exp(kt - q);
        acc gkeep = (ga * a + gb * b) * keep;  /* by the exponent of keep */
        acc gadd = (ga * vt + gb) * add;       /* by the exponent of add */
        acc gq = gp - gkeep - gadd;            /* both exponents contain -q; p1 = q */
        gv += ga * add;
        gk += gadd + (kt > faded ? gq : 0);
        acc gfaded = gkeep + (kt > faded ? 0 : gq);
        gw += gfaded;
        if (out->w && decay_rows > 1) out->w[w_at] += (real)gfaded;
        ga *= keep, gb *= keep, gp = gfaded;

        if (gy) { /* the read-out [v4.4] */
          acc now = (acc)u[c] + kt, q2 = fmax(p, now);
          acc old_weight = m_exp(p - q2), now_weight = m_exp(now - q2);
          acc den = old_weight * b + now_weight, y = (old_weight * a + now_weight * vt) / den;
          acc g = (acc)gy[at] / den;
          acc gnow = g * (vt - y) * now_weight;
          ga += g * old_weight;
          gb -= g * old_weight * y;
          gp += g * old_weight * (a - y * b);
          gv += g * now_weight;
          gk += gnow;
          gu += gnow;
        }
        if (out->k) out->k[at] += (real)gk;
        if (out->v) out->v[at] += (real)gv;
      }
      if (out->a0) out->a0[bi * C + c] += (real)ga;
      if (out->b0) out->b0[bi * C + c] += (real)gb;
      if (out->p0) out->p0[bi * C + c] += (real)gp;
    }
    if (out->w && decay_rows == 1) out->w[c] += (real)gw;
    if (out->u) out->u[c] += (real)gu;
  }
}

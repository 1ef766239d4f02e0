/* The recurrence of RWKV-4 [v4.4]-[v4.6]: a thread walks one channel of one sequence; the threads of a warp have
   channels side by side, so they read and write rows. It reads some tokens ahead, so that it waits for memory once for
   all of them. A = a e^p, B = b e^p. */
#include "parts.h"

enum { AHEAD = 8 }; /* tokens */

typedef struct {
  real w, k, v;
} Token;

/* What one update does: a <- keep a + add v, b <- keep b + add, p <- q. The exponent p + w is rounded; what that loses
   would add up over the tokens, so it goes into keep. */
typedef struct {
  real faded, q, keep, add;
} Update;

DEVICE Update update_of(real p, real w, real k)
{
  Update u;
  u.faded = p + w;
  real of_w = u.faded - p, lost = (p - (u.faded - of_w)) + (w - of_w);
  if (lost != lost) lost = 0; /* of infinite ones; a NaN is in faded too */
  u.q = fmax(u.faded, k);
  u.keep = exp(u.faded - u.q + lost), u.add = exp(k - u.q);
  return u;
}

/* y = (A + e^{u+k} v) / (B + e^{u+k}) */
typedef struct {
  real old_weight, now_weight, den, y;
} ReadOut;

DEVICE ReadOut read_out(real a, real b, real p, real now, real v)
{
  ReadOut r;
  real q = fmax(p, now);
  r.old_weight = exp(p - q), r.now_weight = exp(now - q);
  r.den = r.old_weight * b + r.now_weight;
  r.y = (r.old_weight * a + r.now_weight * v) / r.den;
  return r;
}

KERNEL wkv4(Wkv4 op)
{
  size_t i = blockIdx.x * (size_t)WARP + threadIdx.x, T = op.T, C = op.C, c = i % C, row = i / C * T;
  if (i >= op.B * C) return;
  real u = op.u[c], a = op.a0[i], b = op.b0[i], p = op.p0[i];
  for (size_t t = 0; t < T; t += AHEAD) {
    Token token[AHEAD];
    for (int s = 0; s < AHEAD; s++) {
      size_t at = (row + smaller(t + s, T - 1)) * C + c;
      token[s] = {op.w[op.decay_rows == 1 ? c : at], op.k[at], op.v[at]};
    }
    for (int s = 0; s < AHEAD; s++) {
      if (t + s >= T) break;
      size_t at = row + t + s;
      Token x = token[s];
      if (op.trace) {
        op.trace[(at * 3 + 0) * C + c] = a;
        op.trace[(at * 3 + 1) * C + c] = b;
        op.trace[(at * 3 + 2) * C + c] = p;
      }
      op.y[at * C + c] = read_out(a, b, p, u + x.k, x.v).y;
      Update next = update_of(p, x.w, x.k);
      a = next.keep * a + next.add * x.v;
      b = next.keep * b + next.add;
      p = next.q;
    }
  }
  op.a1[i] = a, op.b1[i] = b, op.p1[i] = p;
}

/* ---- backward ---- */

typedef struct {
  Token token;
  real a, b, p, gy; /* a, b and p are those before it */
} Trace;

DEVICE Trace trace_of(const Wkv4Backward &op, size_t row, size_t c)
{
  const Wkv4 &f = op.forward;
  size_t C = f.C, at = row * C + c;
  const real *trace = f.trace + row * 3 * C + c;
  return {{f.w[f.decay_rows == 1 ? c : at], f.k[at], f.v[at]}, trace[0], trace[C], trace[2 * C], op.gy ? op.gy[at] : 0};
}

typedef struct { /* by the state, and by what a token brings */
  real a, b, p, w, k, v, now;
} Gradient;

DEVICE void step_backward(Gradient &g, const Trace &x, real u, bool reads_out)
{
  real k = x.token.k, v = x.token.v;
  Update next = update_of(x.p, x.token.w, k);
  real gkeep = (g.a * x.a + g.b * x.b) * next.keep; /* by the exponent of keep */
  real gadd = (g.a * v + g.b) * next.add;           /* by the exponent of add */
  real gq = g.p - gkeep - gadd;                     /* both exponents contain -q; p1 = q */
  bool is_new = k > next.faded;
  g.v = g.a * next.add;
  g.k = gadd + (is_new ? gq : 0);
  g.w = gkeep + (is_new ? 0 : gq);
  g.a *= next.keep, g.b *= next.keep, g.p = g.w;
  g.now = 0;
  if (!reads_out) return;
  ReadOut r = read_out(x.a, x.b, x.p, u + k, v);
  real gy = x.gy / r.den;
  g.now = gy * (v - r.y) * r.now_weight;
  g.a += gy * r.old_weight;
  g.b -= gy * r.old_weight * r.y;
  g.p += gy * r.old_weight * (x.a - r.y * x.b);
  g.v += gy * r.now_weight;
  g.k += g.now;
}

/* Backwards through time. gw_gu[2,B,C] gets what the sequence adds to the gradients by a w for all tokens and by u. */
KERNEL wkv4_backward(Wkv4Backward op, real *gw_gu)
{
  const Wkv4 &f = op.forward;
  size_t i = blockIdx.x * (size_t)WARP + threadIdx.x, T = f.T, C = f.C, c = i % C, row = i / C * T;
  if (i >= f.B * C) return;
  real u = f.u[c], gw = 0, gu = 0;
  Gradient g = {op.ga1 ? op.ga1[i] : 0, op.gb1 ? op.gb1[i] : 0, op.gp1 ? op.gp1[i] : 0, 0, 0, 0, 0};
  for (size_t left = T; left; left -= smaller(left, AHEAD)) {
    Trace trace[AHEAD];
    for (int s = 0; s < AHEAD; s++) trace[s] = trace_of(op, row + left - smaller(left, 1 + s), c);
    for (int s = 0; s < AHEAD; s++) {
      if (left < 1 + (size_t)s) break;
      size_t at = (row + left - 1 - s) * C + c;
      step_backward(g, trace[s], u, op.gy);
      gw += g.w, gu += g.now;
      if (op.gw && f.decay_rows > 1) op.gw[at] += g.w;
      if (op.gk) op.gk[at] += g.k;
      if (op.gv) op.gv[at] += g.v;
    }
  }
  if (op.ga0) op.ga0[i] += g.a;
  if (op.gb0) op.gb0[i] += g.b;
  if (op.gp0) op.gp0[i] += g.p;
  gw_gu[i] = gw, gw_gu[f.B * C + i] = gu;
}

void c_wkv4(const Wkv4 *op)
{
  size_t n = op->B * op->C;
  if (n) LAUNCH(wkv4, (unsigned)pieces(n, WARP), WARP, 0, *op);
}

void c_wkv4_backward(const Wkv4Backward *op)
{
  const Wkv4 *f = &op->forward;
  size_t n = f->B * f->C;
  if (!n) return;
  real *gw_gu = (real *)device_scratch(2 * n * sizeof(real));
  LAUNCH(wkv4_backward, (unsigned)pieces(n, WARP), WARP, 0, *op, gw_gu);
  add_parts({f->decay_rows == 1 ? op->gw : NULL, gw_gu, f->B, f->C}, {op->gu, gw_gu + n, f->B, f->C});
}

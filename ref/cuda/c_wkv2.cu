/* The recurrence of RWKV-2 and RWKV-3 [v2.4], [v2.5]: a thread walks one channel of one sequence; the threads of a warp
   have channels side by side, so they read and write rows. It reads some tokens ahead, so that it waits for memory once
   for all of them. */
#include "parts.h"

enum { AHEAD = 8 }; /* tokens */

/* y_t = (a + U e v) / (b + U e + eps);  a <- lambda a + e v,  b <- lambda b + e */
KERNEL wkv2(Wkv2 op)
{
  size_t i = blockIdx.x * (size_t)WARP + threadIdx.x, T = op.T, C = op.C, c = i % C, row = i / C * T;
  if (i >= op.B * C) return;
  real lambda = exp(op.w[c]), U = exp(op.u[c]), eps = (real)op.eps, a = op.a0[i], b = op.b0[i];
  for (size_t t = 0; t < T; t += AHEAD) {
    real e[AHEAD], v[AHEAD];
    for (int s = 0; s < AHEAD; s++) {
      size_t at = (row + smaller(t + s, T - 1)) * C + c;
      e[s] = op.e[at], v[s] = op.v[at];
    }
    for (int s = 0; s < AHEAD; s++) {
      if (t + s >= T) break;
      size_t at = row + t + s;
      if (op.trace) op.trace[at * 2 * C + c] = a, op.trace[(at * 2 + 1) * C + c] = b;
      op.y[at * C + c] = (a + U * e[s] * v[s]) / (b + U * e[s] + eps);
      a = lambda * a + e[s] * v[s];
      b = lambda * b + e[s];
    }
  }
  op.a1[i] = a, op.b1[i] = b;
}

typedef struct {
  real a, b, e, v, gy; /* a and b are those before it */
} Token;

DEVICE Token token_of(const Wkv2Backward &op, size_t row, size_t c)
{
  const Wkv2 &f = op.forward;
  size_t C = f.C, at = row * C + c;
  return {f.trace[row * 2 * C + c], f.trace[(row * 2 + 1) * C + c], f.e[at], f.v[at], op.gy ? op.gy[at] : 0};
}

/* Backwards through time; ga, gb are the gradients by the state. gw_gu[2,B,C] gets what the sequence adds to the
   gradients by w and u. */
KERNEL wkv2_backward(Wkv2Backward op, real *gw_gu)
{
  const Wkv2 &f = op.forward;
  size_t i = blockIdx.x * (size_t)WARP + threadIdx.x, T = f.T, C = f.C, c = i % C, row = i / C * T;
  if (i >= f.B * C) return;
  real lambda = exp(f.w[c]), U = exp(f.u[c]), eps = (real)f.eps, glambda = 0, gU = 0;
  real ga = op.ga1 ? op.ga1[i] : 0, gb = op.gb1 ? op.gb1[i] : 0;
  for (size_t left = T; left; left -= smaller(left, AHEAD)) {
    Token token[AHEAD];
    for (int s = 0; s < AHEAD; s++) token[s] = token_of(op, row + left - smaller(left, 1 + s), c);
    for (int s = 0; s < AHEAD; s++) {
      if (left < 1 + (size_t)s) break;
      size_t at = (row + left - 1 - s) * C + c;
      Token x = token[s];
      real ge = ga * x.v + gb, gv = ga * x.e; /* the update */
      glambda += ga * x.a + gb * x.b;
      ga *= lambda, gb *= lambda;
      if (op.gy) { /* the read-out */
        real den = x.b + U * x.e + eps, y = (x.a + U * x.e * x.v) / den, g = x.gy / den;
        ga += g;
        gb -= g * y;
        ge += g * U * (x.v - y);
        gv += g * U * x.e;
        gU += g * x.e * (x.v - y);
      }
      if (op.ge) op.ge[at] += ge;
      if (op.gv) op.gv[at] += gv;
    }
  }
  if (op.ga0) op.ga0[i] += ga;
  if (op.gb0) op.gb0[i] += gb;
  gw_gu[i] = glambda * lambda, gw_gu[f.B * C + i] = gU * U;
}

void c_wkv2(const Wkv2 *op)
{
  size_t n = op->B * op->C;
  if (n) LAUNCH(wkv2, (unsigned)pieces(n, WARP), WARP, 0, *op);
}

void c_wkv2_backward(const Wkv2Backward *op)
{
  const Wkv2 *f = &op->forward;
  size_t n = f->B * f->C;
  if (!n) return;
  real *gw_gu = (real *)device_scratch(2 * n * sizeof(real));
  LAUNCH(wkv2_backward, (unsigned)pieces(n, WARP), WARP, 0, *op, gw_gu);
  add_parts({op->gw, gw_gu, f->B, f->C}, {op->gu, gw_gu + n, f->B, f->C});
}

/* The oracles of what has a state of matrices or of several numbers a channel. */
#include "oracle_inside.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- v5.0 ... v6.0: sections 5 and 6 ----------------------------------------------------------------- */

/* One head of one batch row. Token arrays are read at [t*stride + channel], u at [channel]. */
typedef struct {
  size_t T, N, stride;
  oracle_wkv6_in x, dx;
  double *score, *dscore; /* [T]: weight of v[s] in the current output */
  double *carry, *dcarry; /* [N]: weight of S0[j,.] in the current output */
} wkv6_head;

/*
 * Scores of output t: score[s] = sum_j r[t,j] W(s,t)_j k[s,j] for s < t, score[t] = sum_j r[t,j] u_j k[t,j],
 * carry[j] = r[t,j] W(-1,t)_j. Going down from s = t-1, log W(s,t) is the sum of w[n] over s < n < t.
 */
static void wkv6_scores(const wkv6_head *hd, size_t t)
{
  memset(hd->score, 0, hd->T * sizeof(double));
  memset(hd->dscore, 0, hd->T * sizeof(double));
  for (size_t j = 0; j < hd->N; j++) {
    size_t now = t * hd->stride + j;
    double r = hd->x.r[now], dr = at(hd->dx.r, now), log_w = 0, dlog_w = 0;
    for (size_t s = t; s-- > 0;) {
      size_t i = s * hd->stride + j;
      double k = hd->x.k[i], dk = at(hd->dx.k, i), w = exp(log_w);
      hd->score[s] += r * w * k;
      hd->dscore[s] += w * (dr * k + r * dk + r * k * dlog_w);
      log_w += hd->x.w[i];
      dlog_w += at(hd->dx.w, i);
    }
    hd->carry[j] = r * exp(log_w);
    hd->dcarry[j] = exp(log_w) * (dr + r * dlog_w);
    double k = hd->x.k[now], dk = at(hd->dx.k, now), u = hd->x.u[j], du = at(hd->dx.u, j);
    hd->score[t] += r * u * k;
    hd->dscore[t] += dr * u * k + r * du * k + r * u * dk;
  }
}

/* y[t,i] = sum_{s<=t} score[s] v[s,i] + sum_j carry[j] S0[j,i]; y, dy at the head's first channel. */
static void wkv6_output(const wkv6_head *hd, size_t t, double *y, double *dy)
{
  wkv6_scores(hd, t);
  for (size_t i = 0; i < hd->N; i++) {
    double sum = 0, dsum = 0;
    for (size_t s = 0; s <= t; s++) {
      size_t x = s * hd->stride + i;
      sum += hd->score[s] * hd->x.v[x];
      dsum += hd->dscore[s] * hd->x.v[x] + hd->score[s] * at(hd->dx.v, x);
    }
    for (size_t j = 0; j < hd->N; j++) {
      size_t x = j * hd->N + i;
      sum += hd->carry[j] * at(hd->x.s0, x);
      dsum += hd->dcarry[j] * at(hd->x.s0, x) + hd->carry[j] * at(hd->dx.s0, x);
    }
    put(y, t * hd->stride + i, sum);
    put(dy, t * hd->stride + i, dsum);
  }
}

/* Row j of the final state: S[j,i] = sum_s W(s,T)_j k[s,j] v[s,i] + W(-1,T)_j S0[j,i]. */
static void wkv6_state_row(const wkv6_head *hd, size_t j, double *state, double *dstate)
{
  double log_w = 0, dlog_w = 0;
  for (size_t s = hd->T; s-- > 0;) {
    size_t i = s * hd->stride + j;
    double k = hd->x.k[i], w = exp(log_w);
    hd->score[s] = w * k;
    hd->dscore[s] = w * (at(hd->dx.k, i) + k * dlog_w);
    log_w += hd->x.w[i];
    dlog_w += at(hd->dx.w, i);
  }
  for (size_t i = 0; i < hd->N; i++) {
    size_t o = j * hd->N + i;
    double w = exp(log_w), s0 = at(hd->x.s0, o);
    double sum = w * s0, dsum = w * (at(hd->dx.s0, o) + s0 * dlog_w);
    for (size_t s = 0; s < hd->T; s++) {
      size_t x = s * hd->stride + i;
      sum += hd->score[s] * hd->x.v[x];
      dsum += hd->dscore[s] * hd->x.v[x] + hd->score[s] * at(hd->dx.v, x);
    }
    put(state, o, sum);
    put(dstate, o, dsum);
  }
}

/* The inputs of head h of batch row b: every pointer moved to its first element. */
static oracle_wkv6_in wkv6_slice(oracle_dims n, size_t b, size_t h, const oracle_wkv6_in *in)
{
  size_t tokens = b * n.T * n.H * n.N + h * n.N, state = (b * n.H + h) * n.N * n.N;
  return (oracle_wkv6_in){.r = row(in->r, tokens),
                          .w = row(in->w, tokens),
                          .k = row(in->k, tokens),
                          .v = row(in->v, tokens),
                          .u = row(in->u, h * n.N),
                          .s0 = row(in->s0, state)};
}

void oracle_wkv6_jvp(oracle_dims n, const oracle_wkv6_in *in, const oracle_wkv6_in *tan, const oracle_wkv6_out *out,
                     const oracle_wkv6_out *dout)
{
  const oracle_wkv6_in zero = {0};
  const oracle_wkv6_out none = {0};
  wkv6_head hd = {.T = n.T,
                  .N = n.N,
                  .stride = n.H * n.N,
                  .score = new_doubles(n.T),
                  .dscore = new_doubles(n.T),
                  .carry = new_doubles(n.N),
                  .dcarry = new_doubles(n.N)};
  if (!out) out = &none;
  if (!dout) dout = &none;
  for (size_t b = 0; b < n.B; b++)
    for (size_t h = 0; h < n.H; h++) {
      size_t tokens = b * n.T * hd.stride + h * n.N, state = (b * n.H + h) * n.N * n.N;
      hd.x = wkv6_slice(n, b, h, in);
      hd.dx = wkv6_slice(n, b, h, tan ? tan : &zero);
      for (size_t t = 0; t < n.T; t++) wkv6_output(&hd, t, out_row(out->y, tokens), out_row(dout->y, tokens));
      for (size_t j = 0; j < n.N; j++) wkv6_state_row(&hd, j, out_row(out->s, state), out_row(dout->s, state));
    }
  free(hd.score);
  free(hd.dscore);
  free(hd.carry);
  free(hd.dcarry);
}

void oracle_wkv6(oracle_dims n, const oracle_wkv6_in *in, const oracle_wkv6_out *out)
{
  oracle_wkv6_jvp(n, in, NULL, out, NULL);
}

/* ---- v7: section 7 ----------------------------------------------------------------------------------- */

/* An N x N matrix and its direction. */
typedef struct {
  double *x, *dx;
} matrix;

static matrix new_matrix(size_t N) { return (matrix){new_doubles(N * N), new_doubles(N * N)}; }

static void free_matrix(matrix m)
{
  free(m.x);
  free(m.dx);
}

static void clear_matrix(size_t N, matrix m)
{
  memset(m.x, 0, N * N * sizeof(double));
  memset(m.dx, 0, N * N * sizeof(double));
}

static void set_identity(size_t N, matrix m)
{
  clear_matrix(N, m);
  for (size_t i = 0; i < N; i++) m.x[i * N + i] = 1;
}

/* out += left * right */
static void add_product(size_t N, const double *left, const double *right, double *out)
{
  for (size_t i = 0; i < N; i++)
    for (size_t m = 0; m < N; m++)
      for (size_t j = 0; j < N; j++) out[i * N + j] += left[i * N + m] * right[m * N + j];
}

/* out += left * right with d(left right) = dleft right + left dright; directions only when wanted. */
static void add_matrix_product(size_t N, matrix left, matrix right, int directions, matrix out)
{
  add_product(N, left.x, right.x, out.x);
  if (!directions) return;
  add_product(N, left.dx, right.x, out.dx);
  add_product(N, left.x, right.dx, out.dx);
}

/* Inputs of one head of one batch row; token arrays are read at [t*stride + channel]. */
typedef struct {
  size_t N, stride;
  int directions;
  oracle_wkv7_in x, dx;
  matrix state, chain, step, scratch;
} wkv7_head;

/* step = A_t = diag(exp(w_t)) + a_t b_t^T */
static void wkv7_step(const wkv7_head *hd, size_t t)
{
  size_t N = hd->N, o = t * hd->stride;
  const double *a = hd->x.a + o, *b = hd->x.b + o;
  for (size_t i = 0; i < N; i++)
    for (size_t j = 0; j < N; j++) {
      double decay = i == j ? exp(hd->x.w[o + i]) : 0;
      hd->step.x[i * N + j] = decay + a[i] * b[j];
      hd->step.dx[i * N + j] = decay * at(hd->dx.w, o + i) + at(hd->dx.a, o + i) * b[j] + a[i] * at(hd->dx.b, o + j);
    }
}

/* scratch = v_s k_s^T */
static void wkv7_source(const wkv7_head *hd, size_t s)
{
  size_t N = hd->N, o = s * hd->stride;
  const double *v = hd->x.v + o, *k = hd->x.k + o;
  for (size_t i = 0; i < N; i++)
    for (size_t j = 0; j < N; j++) {
      hd->scratch.x[i * N + j] = v[i] * k[j];
      hd->scratch.dx[i * N + j] = at(hd->dx.v, o + i) * k[j] + v[i] * at(hd->dx.k, o + j);
    }
}

/* chain = step * chain */
static void wkv7_extend_chain(const wkv7_head *hd)
{
  size_t bytes = hd->N * hd->N * sizeof(double);
  clear_matrix(hd->N, hd->scratch);
  add_matrix_product(hd->N, hd->step, hd->chain, hd->directions, hd->scratch);
  memcpy(hd->chain.x, hd->scratch.x, bytes);
  memcpy(hd->chain.dx, hd->scratch.dx, bytes);
}

/* scratch = S0 */
static void wkv7_initial(const wkv7_head *hd)
{
  for (size_t i = 0; i < hd->N * hd->N; i++) {
    hd->scratch.x[i] = at(hd->x.s0, i);
    hd->scratch.dx[i] = at(hd->dx.s0, i);
  }
}

/* state = S_t = sum_{s<=t} v_s k_s^T A_{s+1} ... A_t + S0 A_0 ... A_t, from nothing for every t. */
static void wkv7_state(const wkv7_head *hd, size_t t)
{
  clear_matrix(hd->N, hd->state);
  set_identity(hd->N, hd->chain);
  for (size_t s = t + 1; s-- > 0;) {
    wkv7_source(hd, s);
    add_matrix_product(hd->N, hd->scratch, hd->chain, hd->directions, hd->state);
    wkv7_step(hd, s);
    wkv7_extend_chain(hd);
  }
  wkv7_initial(hd);
  add_matrix_product(hd->N, hd->scratch, hd->chain, hd->directions, hd->state);
}

/* y_t = S_t r_t */
static void wkv7_readout(const wkv7_head *hd, size_t t, double *y, double *dy)
{
  size_t N = hd->N, o = t * hd->stride;
  for (size_t i = 0; i < N; i++) {
    double sum = 0, dsum = 0;
    for (size_t j = 0; j < N; j++) {
      double r = hd->x.r[o + j], s = hd->state.x[i * N + j];
      sum += s * r;
      dsum += hd->state.dx[i * N + j] * r + s * at(hd->dx.r, o + j);
    }
    put(y, o + i, sum);
    put(dy, o + i, dsum);
  }
}

static oracle_wkv7_in wkv7_slice(oracle_dims n, size_t b, size_t h, const oracle_wkv7_in *in)
{
  size_t tokens = b * n.T * n.H * n.N + h * n.N, state = (b * n.H + h) * n.N * n.N;
  return (oracle_wkv7_in){.r = row(in->r, tokens),
                          .w = row(in->w, tokens),
                          .k = row(in->k, tokens),
                          .v = row(in->v, tokens),
                          .a = row(in->a, tokens),
                          .b = row(in->b, tokens),
                          .s0 = row(in->s0, state)};
}

void oracle_wkv7_jvp(oracle_dims n, const oracle_wkv7_in *in, const oracle_wkv7_in *tan, const oracle_wkv7_out *out,
                     const oracle_wkv7_out *dout)
{
  const oracle_wkv7_in zero = {0};
  const oracle_wkv7_out none = {0};
  wkv7_head hd = {.N = n.N,
                  .stride = n.H * n.N,
                  .directions = tan != NULL,
                  .state = new_matrix(n.N),
                  .chain = new_matrix(n.N),
                  .step = new_matrix(n.N),
                  .scratch = new_matrix(n.N)};
  if (!out) out = &none;
  if (!dout) dout = &none;
  for (size_t b = 0; b < n.B; b++)
    for (size_t h = 0; h < n.H; h++) {
      size_t tokens = b * n.T * hd.stride + h * n.N, state = (b * n.H + h) * n.N * n.N;
      hd.x = wkv7_slice(n, b, h, in);
      hd.dx = wkv7_slice(n, b, h, tan ? tan : &zero);
      for (size_t t = 0; t < n.T; t++) {
        wkv7_state(&hd, t);
        wkv7_readout(&hd, t, out_row(out->y, tokens), out_row(dout->y, tokens));
      }
      for (size_t i = 0; i < n.N * n.N; i++) { /* the state of the last token */
        put(out->s, state + i, hd.state.x[i]);
        put(dout->s, state + i, hd.state.dx[i]);
      }
    }
  free_matrix(hd.state);
  free_matrix(hd.chain);
  free_matrix(hd.step);
  free_matrix(hd.scratch);
}

void oracle_wkv7(oracle_dims n, const oracle_wkv7_in *in, const oracle_wkv7_out *out)
{
  oracle_wkv7_jvp(n, in, NULL, out, NULL);
}

/* ---- the selective scan ------------------------------------------------------------------------------ */

/* h[t,d,n] of batch row b: going down from s = t, `steps` is the sum of delta over s < q <= t. */
static double scan_state(oracle_dims n, const oracle_scan_in *in, const oracle_scan_in *tan, size_t b, size_t t,
                         size_t d, size_t j, double *dsum)
{
  double A = in->a[d * n.N + j], dA = at(tan->a, d * n.N + j), steps = 0, dsteps = 0, sum = 0;
  *dsum = 0;
  for (size_t s = t + 1; s-- > 0;) {
    size_t i = (b * n.T + s) * n.H + d, o = (b * n.T + s) * n.N + j;
    double w = exp(A * steps), delta = in->delta[i], x = in->x[i], B = in->b[o];
    double ddelta = at(tan->delta, i), dwrite = ddelta * B * x + delta * at(tan->b, o) * x + delta * B * at(tan->x, i);
    sum += w * delta * B * x;
    *dsum += w * (dwrite + delta * B * x * (dA * steps + A * dsteps));
    steps += delta;
    dsteps += ddelta;
  }
  size_t o = (b * n.H + d) * n.N + j;
  double w = exp(A * steps), h0 = at(in->h0, o);
  *dsum += w * (at(tan->h0, o) + h0 * (dA * steps + A * dsteps));
  return sum + w * h0;
}

void oracle_scan_jvp(oracle_dims n, const oracle_scan_in *in, const oracle_scan_in *tan, const oracle_scan_out *out,
                     const oracle_scan_out *dout)
{
  const oracle_scan_in zero = {0};
  const oracle_scan_out none = {0};
  if (!tan) tan = &zero;
  if (!out) out = &none;
  if (!dout) dout = &none;
  for (size_t i = 0; i < n.B * n.T * n.H; i++) {
    size_t b = i / (n.T * n.H), t = i / n.H % n.T, d = i % n.H;
    double y = 0, dy = 0, dh;
    for (size_t j = 0; j < n.N; j++) {
      size_t o = (b * n.T + t) * n.N + j;
      double h = scan_state(n, in, tan, b, t, d, j, &dh);
      y += in->c[o] * h;
      dy += at(tan->c, o) * h + in->c[o] * dh;
    }
    put(out->y, i, y);
    put(dout->y, i, dy);
  }
  for (size_t i = 0; i < n.B * n.H * n.N; i++) {
    double dh, h = scan_state(n, in, tan, i / (n.H * n.N), n.T - 1, i / n.N % n.H, i % n.N, &dh);
    put(out->h, i, h);
    put(dout->h, i, dh);
  }
}

void oracle_scan(oracle_dims n, const oracle_scan_in *in, const oracle_scan_out *out)
{
  oracle_scan_jvp(n, in, NULL, out, NULL);
}

/* Closed-form test oracles; see oracle.h for the formulas, shapes and conventions. */
#include "oracle.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- helpers ----------------------------------------------------------------------------------------- */

static void *zalloc(size_t count, size_t size) {
  void *p = calloc(count ? count : 1, size);
  if (!p) {
    fputs("oracle: out of memory\n", stderr);
    abort();
  }
  return p;
}

static double *new_doubles(size_t count) { return zalloc(count, sizeof(double)); }

/* Optional inputs: an absent array reads as zeros. */
static double at(const double *p, size_t i) { return p ? p[i] : 0.0; }

static const double *row(const double *p, size_t offset) { return p ? p + offset : NULL; }

/* Optional outputs: an absent array is not written. */
static double *out_row(double *p, size_t offset) { return p ? p + offset : NULL; }

static void put(double *p, size_t i, double value) {
  if (p) p[i] = value;
}

static long double wide(double x) { return (long double)x; }

/* ---- v1: section 1 ----------------------------------------------------------------------------------- */

/* w[h,t,u] = time_w[h, ctx-1-(t-u)] alpha[h,u] beta[h,t]; the derivative is returned in *dw. */
static double wkv1_weight(size_t ctx, size_t h, size_t t, size_t u, const oracle_wkv1_in *in,
                          const oracle_wkv1_in *tan, double *dw) {
  size_t iw = h * ctx + ctx - 1 - (t - u), ia = h * ctx + u, ib = h * ctx + t;
  double w = in->time_w[iw], a = in->alpha[ia], b = in->beta[ib];
  *dw = at(tan->time_w, iw) * a * b + w * at(tan->alpha, ia) * b + w * a * at(tan->beta, ib);
  return w * a * b;
}

void oracle_wkv1_jvp(oracle_dims n, size_t ctx, const oracle_wkv1_in *in, const oracle_wkv1_in *tan,
                     double *y, double *dy) {
  const oracle_wkv1_in zero = {0};
  size_t C = n.H * n.N;
  if (!tan) tan = &zero;
  for (size_t b = 0; b < n.B; b++)
    for (size_t t = 0; t < n.T; t++)
      for (size_t c = 0; c < C; c++) {
        double num = 0, den = 0, dnum = 0, dden = 0;
        for (size_t u = 0; u <= t; u++) {
          size_t x = (b * n.T + u) * C + c;
          double k = in->k[x], v = in->v[x], dk = at(tan->k, x), dv = at(tan->v, x), dw;
          double w = wkv1_weight(ctx, c / n.N, t, u, in, tan, &dw);
          num += w * k * v;
          dnum += dw * k * v + w * dk * v + w * k * dv;
          den += k;
          dden += dk;
        }
        size_t o = (b * n.T + t) * C + c;
        put(y, o, num / den);
        put(dy, o, (dnum - num / den * dden) / den);
      }
}

void oracle_wkv1(oracle_dims n, size_t ctx, const oracle_wkv1_in *in, double *y) {
  oracle_wkv1_jvp(n, ctx, in, NULL, y, NULL);
}

/* ---- v2, v3 and v4: sums of exponentially weighted terms (sections 2, 3, 4) -------------------------- */

/* One term e^p x of a numerator and e^p z of the denominator, with directions. */
typedef struct {
  long double p, x, z, dp, dx, dz;
} term;

typedef struct {
  long double num, den, dnum, dden;
} ratio;

/* sum of e^{p-m} x and e^{p-m} z; by the product rule d(e^{p-m} x) = e^{p-m} (dx + (dp-dm) x). */
static ratio sum_terms(const term *terms, size_t count, long double m, long double dm) {
  ratio r = {0, 0, 0, 0};
  for (size_t i = 0; i < count; i++) {
    const term *q = &terms[i];
    long double weight = expl(q->p - m), dlog = q->dp - dm;
    r.num += weight * q->x;
    r.den += weight * q->z;
    r.dnum += weight * (q->dx + dlog * q->x);
    r.dden += weight * (q->dz + dlog * q->z);
  }
  return r;
}

static const term *largest_term(const term *terms, size_t count) {
  const term *best = terms;
  for (size_t i = 1; i < count; i++)
    if (terms[i].p > best->p) best = &terms[i];
  return best;
}

static void put_quotient(ratio r, size_t i, double *y, double *dy) {
  long double q = r.num / r.den;
  put(y, i, (double)q);
  put(dy, i, (double)((r.dnum - q * r.dden) / r.den));
}

/* The token terms of one channel: p = k_s, x = v_s, z = 1 (not yet decayed), plus an initial term. */
typedef struct {
  term *token;         /* [T] */
  term initial;        /* used when has_initial */
  int has_initial;
  long double *w, *dw; /* [T]: log-decay of each token */
  long double u, du;   /* log-bonus of the current token */
} channel;

static channel new_channel(size_t T) {
  return (channel){.token = zalloc(T, sizeof(term)), .w = zalloc(T, sizeof(long double)),
                   .dw = zalloc(T, sizeof(long double))};
}

static void free_channel(channel *ch) {
  free(ch->token);
  free(ch->w);
  free(ch->dw);
}

/*
 * Everything before token t: exponent p_s + W(s,t) for tokens s < t, and p0 + W(-1,t) for the initial term,
 * where W(s,t), the sum of w over s < n < t, grows as s goes down. Returns the number of terms. t = T gives
 * the final state.
 */
static size_t past_terms(const channel *ch, size_t t, term *terms) {
  long double W = 0, dW = 0;
  for (size_t s = t; s-- > 0;) {
    terms[s] = ch->token[s];
    terms[s].p += W;
    terms[s].dp += dW;
    W += ch->w[s];
    dW += ch->dw[s];
  }
  if (!ch->has_initial) return t;
  terms[t] = ch->initial;
  terms[t].p += W;
  terms[t].dp += dW;
  return t + 1;
}

/* The past and the current token, which has exponent u + p_t. */
static size_t output_terms(const channel *ch, size_t t, term *terms) {
  size_t count = past_terms(ch, t, terms);
  terms[count] = ch->token[t];
  terms[count].p += ch->u;
  terms[count++].dp += ch->du;
  return count;
}

/* Fills the tokens of channel c of batch row b. Keys above k_max are clamped, which kills their direction. */
static void load_tokens(oracle_dims n, size_t b, size_t c, double k_max, const double *k, const double *v,
                        const double *dk, const double *dv, term *token) {
  for (size_t t = 0; t < n.T; t++) {
    size_t i = (b * n.T + t) * n.H * n.N + c;
    int clamped = k[i] > k_max;
    double key = clamped ? k_max : k[i], dkey = clamped ? 0 : at(dk, i);
    token[t] = (term){.p = wide(key), .x = wide(v[i]), .z = 1,
                      .dp = wide(dkey), .dx = wide(at(dv, i)), .dz = 0};
  }
}

/* ---- v2 / v3 ---- */

static void wkv2_channel(oracle_dims n, double eps, size_t b, size_t c, const channel *ch, term *terms,
                         const oracle_wkv2_out *out, const oracle_wkv2_out *dout) {
  size_t C = n.H * n.N;
  for (size_t t = 0; t < n.T; t++) {
    ratio r = sum_terms(terms, output_terms(ch, t, terms), 0, 0);
    r.den += wide(eps);
    put_quotient(r, (b * n.T + t) * C + c, out->y, dout->y);
  }
  ratio s = sum_terms(terms, past_terms(ch, n.T, terms), 0, 0);
  put(out->a, b * C + c, (double)s.num);
  put(out->b, b * C + c, (double)s.den);
  put(dout->a, b * C + c, (double)s.dnum);
  put(dout->b, b * C + c, (double)s.dden);
}

void oracle_wkv2_jvp(oracle_dims n, double eps, const oracle_wkv2_in *in, const oracle_wkv2_in *tan,
                     const oracle_wkv2_out *out, const oracle_wkv2_out *dout) {
  const oracle_wkv2_in zero = {0};
  const oracle_wkv2_out none = {0};
  size_t C = n.H * n.N;
  term *terms = zalloc(n.T + 2, sizeof *terms);
  channel ch = new_channel(n.T);
  ch.has_initial = 1;
  if (!tan) tan = &zero;
  if (!out) out = &none;
  if (!dout) dout = &none;
  for (size_t b = 0; b < n.B; b++)
    for (size_t c = 0; c < C; c++) {
      size_t i = b * C + c;
      load_tokens(n, b, c, 60.0, in->k, in->v, tan->k, tan->v, ch.token);
      for (size_t t = 0; t < n.T; t++) {
        ch.w[t] = -wide(in->d[c]);
        ch.dw[t] = -wide(at(tan->d, c));
      }
      ch.u = wide(in->u[c]);
      ch.du = wide(at(tan->u, c));
      ch.initial = (term){.p = 0, .x = wide(at(in->a0, i)), .z = wide(at(in->b0, i)),
                          .dp = 0, .dx = wide(at(tan->a0, i)), .dz = wide(at(tan->b0, i))};
      wkv2_channel(n, eps, b, c, &ch, terms, out, dout);
    }
  free_channel(&ch);
  free(terms);
}

void oracle_wkv2(oracle_dims n, double eps, const oracle_wkv2_in *in, const oracle_wkv2_out *out) {
  oracle_wkv2_jvp(n, eps, in, NULL, out, NULL);
}

/* ---- v4 ---- */

static void wkv4_channel(oracle_dims n, size_t b, size_t c, const channel *ch, term *terms,
                         const oracle_wkv4_out *out, const oracle_wkv4_out *dout) {
  size_t C = n.H * n.N, count;
  for (size_t t = 0; t < n.T; t++) {
    count = output_terms(ch, t, terms);
    put_quotient(sum_terms(terms, count, largest_term(terms, count)->p, 0), (b * n.T + t) * C + c, out->y,
                 dout->y);
  }
  count = past_terms(ch, n.T, terms);
  const term *m = largest_term(terms, count);
  ratio s = sum_terms(terms, count, m->p, m->dp);
  put(out->a, b * C + c, (double)s.num);
  put(out->b, b * C + c, (double)s.den);
  put(out->p, b * C + c, (double)m->p);
  put(dout->a, b * C + c, (double)s.dnum);
  put(dout->b, b * C + c, (double)s.dden);
  put(dout->p, b * C + c, (double)m->dp);
}

void oracle_wkv4_jvp(oracle_dims n, const oracle_wkv4_in *in, const oracle_wkv4_in *tan,
                     const oracle_wkv4_out *out, const oracle_wkv4_out *dout) {
  const oracle_wkv4_in zero = {0};
  const oracle_wkv4_out none = {0};
  size_t C = n.H * n.N;
  term *terms = zalloc(n.T + 2, sizeof *terms);
  channel ch = new_channel(n.T);
  ch.has_initial = in->p0 != NULL;
  if (!tan) tan = &zero;
  if (!out) out = &none;
  if (!dout) dout = &none;
  for (size_t b = 0; b < n.B; b++)
    for (size_t c = 0; c < C; c++) {
      size_t i = b * C + c;
      load_tokens(n, b, c, HUGE_VAL, in->k, in->v, tan->k, tan->v, ch.token);
      for (size_t t = 0; t < n.T; t++) {
        ch.w[t] = wide(in->w[(b * n.T + t) * C + c]);
        ch.dw[t] = wide(at(tan->w, (b * n.T + t) * C + c));
      }
      ch.u = wide(in->u[c]);
      ch.du = wide(at(tan->u, c));
      ch.initial = (term){.p = wide(at(in->p0, i)), .x = wide(at(in->a0, i)), .z = wide(at(in->b0, i)),
                          .dp = wide(at(tan->p0, i)), .dx = wide(at(tan->a0, i)), .dz = wide(at(tan->b0, i))};
      wkv4_channel(n, b, c, &ch, terms, out, dout);
    }
  free_channel(&ch);
  free(terms);
}

void oracle_wkv4(oracle_dims n, const oracle_wkv4_in *in, const oracle_wkv4_out *out) {
  oracle_wkv4_jvp(n, in, NULL, out, NULL);
}

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
static void wkv6_scores(const wkv6_head *hd, size_t t) {
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
static void wkv6_output(const wkv6_head *hd, size_t t, double *y, double *dy) {
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
static void wkv6_state_row(const wkv6_head *hd, size_t j, double *state, double *dstate) {
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
static oracle_wkv6_in wkv6_slice(oracle_dims n, size_t b, size_t h, const oracle_wkv6_in *in) {
  size_t tokens = b * n.T * n.H * n.N + h * n.N, state = (b * n.H + h) * n.N * n.N;
  return (oracle_wkv6_in){.r = row(in->r, tokens), .w = row(in->w, tokens), .k = row(in->k, tokens),
                          .v = row(in->v, tokens), .u = row(in->u, h * n.N), .s0 = row(in->s0, state)};
}

void oracle_wkv6_jvp(oracle_dims n, const oracle_wkv6_in *in, const oracle_wkv6_in *tan,
                     const oracle_wkv6_out *out, const oracle_wkv6_out *dout) {
  const oracle_wkv6_in zero = {0};
  const oracle_wkv6_out none = {0};
  wkv6_head hd = {.T = n.T, .N = n.N, .stride = n.H * n.N,
                  .score = new_doubles(n.T), .dscore = new_doubles(n.T),
                  .carry = new_doubles(n.N), .dcarry = new_doubles(n.N)};
  if (!out) out = &none;
  if (!dout) dout = &none;
  for (size_t b = 0; b < n.B; b++)
    for (size_t h = 0; h < n.H; h++) {
      size_t tokens = b * n.T * hd.stride + h * n.N, state = (b * n.H + h) * n.N * n.N;
      hd.x = wkv6_slice(n, b, h, in);
      hd.dx = wkv6_slice(n, b, h, tan ? tan : &zero);
      for (size_t t = 0; t < n.T; t++)
        wkv6_output(&hd, t, out_row(out->y, tokens), out_row(dout->y, tokens));
      for (size_t j = 0; j < n.N; j++)
        wkv6_state_row(&hd, j, out_row(out->s, state), out_row(dout->s, state));
    }
  free(hd.score);
  free(hd.dscore);
  free(hd.carry);
  free(hd.dcarry);
}

void oracle_wkv6(oracle_dims n, const oracle_wkv6_in *in, const oracle_wkv6_out *out) {
  oracle_wkv6_jvp(n, in, NULL, out, NULL);
}

/* ---- v7: section 7 ----------------------------------------------------------------------------------- */

/* An N x N matrix and its direction. */
typedef struct {
  double *x, *dx;
} matrix;

static matrix new_matrix(size_t N) { return (matrix){new_doubles(N * N), new_doubles(N * N)}; }

static void free_matrix(matrix m) {
  free(m.x);
  free(m.dx);
}

static void clear_matrix(size_t N, matrix m) {
  memset(m.x, 0, N * N * sizeof(double));
  memset(m.dx, 0, N * N * sizeof(double));
}

static void set_identity(size_t N, matrix m) {
  clear_matrix(N, m);
  for (size_t i = 0; i < N; i++) m.x[i * N + i] = 1;
}

/* out += left * right */
static void add_product(size_t N, const double *left, const double *right, double *out) {
  for (size_t i = 0; i < N; i++)
    for (size_t m = 0; m < N; m++)
      for (size_t j = 0; j < N; j++) out[i * N + j] += left[i * N + m] * right[m * N + j];
}

/* out += left * right with d(left right) = dleft right + left dright; directions only when wanted. */
static void add_matrix_product(size_t N, matrix left, matrix right, int directions, matrix out) {
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
static void wkv7_step(const wkv7_head *hd, size_t t) {
  size_t N = hd->N, o = t * hd->stride;
  const double *a = hd->x.a + o, *b = hd->x.b + o;
  for (size_t i = 0; i < N; i++)
    for (size_t j = 0; j < N; j++) {
      double decay = i == j ? exp(hd->x.w[o + i]) : 0;
      hd->step.x[i * N + j] = decay + a[i] * b[j];
      hd->step.dx[i * N + j] =
          decay * at(hd->dx.w, o + i) + at(hd->dx.a, o + i) * b[j] + a[i] * at(hd->dx.b, o + j);
    }
}

/* scratch = v_s k_s^T */
static void wkv7_source(const wkv7_head *hd, size_t s) {
  size_t N = hd->N, o = s * hd->stride;
  const double *v = hd->x.v + o, *k = hd->x.k + o;
  for (size_t i = 0; i < N; i++)
    for (size_t j = 0; j < N; j++) {
      hd->scratch.x[i * N + j] = v[i] * k[j];
      hd->scratch.dx[i * N + j] = at(hd->dx.v, o + i) * k[j] + v[i] * at(hd->dx.k, o + j);
    }
}

/* chain = step * chain */
static void wkv7_extend_chain(const wkv7_head *hd) {
  size_t bytes = hd->N * hd->N * sizeof(double);
  clear_matrix(hd->N, hd->scratch);
  add_matrix_product(hd->N, hd->step, hd->chain, hd->directions, hd->scratch);
  memcpy(hd->chain.x, hd->scratch.x, bytes);
  memcpy(hd->chain.dx, hd->scratch.dx, bytes);
}

/* scratch = S0 */
static void wkv7_initial(const wkv7_head *hd) {
  for (size_t i = 0; i < hd->N * hd->N; i++) {
    hd->scratch.x[i] = at(hd->x.s0, i);
    hd->scratch.dx[i] = at(hd->dx.s0, i);
  }
}

/* state = S_t = sum_{s<=t} v_s k_s^T A_{s+1} ... A_t + S0 A_0 ... A_t, from nothing for every t. */
static void wkv7_state(const wkv7_head *hd, size_t t) {
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
static void wkv7_readout(const wkv7_head *hd, size_t t, double *y, double *dy) {
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

static oracle_wkv7_in wkv7_slice(oracle_dims n, size_t b, size_t h, const oracle_wkv7_in *in) {
  size_t tokens = b * n.T * n.H * n.N + h * n.N, state = (b * n.H + h) * n.N * n.N;
  return (oracle_wkv7_in){.r = row(in->r, tokens), .w = row(in->w, tokens), .k = row(in->k, tokens),
                          .v = row(in->v, tokens), .a = row(in->a, tokens), .b = row(in->b, tokens),
                          .s0 = row(in->s0, state)};
}

void oracle_wkv7_jvp(oracle_dims n, const oracle_wkv7_in *in, const oracle_wkv7_in *tan,
                     const oracle_wkv7_out *out, const oracle_wkv7_out *dout) {
  const oracle_wkv7_in zero = {0};
  const oracle_wkv7_out none = {0};
  wkv7_head hd = {.N = n.N, .stride = n.H * n.N, .directions = tan != NULL,
                  .state = new_matrix(n.N), .chain = new_matrix(n.N),
                  .step = new_matrix(n.N), .scratch = new_matrix(n.N)};
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

void oracle_wkv7(oracle_dims n, const oracle_wkv7_in *in, const oracle_wkv7_out *out) {
  oracle_wkv7_jvp(n, in, NULL, out, NULL);
}

/* ---- the selective scan ------------------------------------------------------------------------------ */

/* h[t,d,n] of batch row b: going down from s = t, `steps` is the sum of delta over s < q <= t. */
static double scan_state(oracle_dims n, const oracle_scan_in *in, const oracle_scan_in *tan, size_t b, size_t t,
                         size_t d, size_t j, double *dsum) {
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
                     const oracle_scan_out *dout) {
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

void oracle_scan(oracle_dims n, const oracle_scan_in *in, const oracle_scan_out *out) {
  oracle_scan_jvp(n, in, NULL, out, NULL);
}

/* ---- norms: section 0.1 ------------------------------------------------------------------------------ */

/* Mean, and sqrt(biased variance + eps), of one group, with directions. */
typedef struct {
  double mean, dmean, dev, ddev;
} moments;

static moments group_moments(size_t N, double eps, const double *x, const double *dx) {
  moments m = {0, 0, 0, 0};
  double var = 0, dvar = 0, count = (double)N;
  for (size_t i = 0; i < N; i++) {
    m.mean += x[i] / count;
    m.dmean += at(dx, i) / count;
  }
  for (size_t i = 0; i < N; i++) {
    double centred = x[i] - m.mean;
    var += centred * centred / count;
    dvar += 2 * centred * (at(dx, i) - m.dmean) / count;
  }
  m.dev = sqrt(var + eps);
  m.ddev = dvar / (2 * m.dev);
  return m;
}

void oracle_group_norm_jvp(size_t rows, size_t H, size_t N, double eps, const oracle_norm_in *in,
                           const oracle_norm_in *tan, double *y, double *dy) {
  const oracle_norm_in zero = {0};
  if (!tan) tan = &zero;
  for (size_t g = 0; g < rows * H; g++) {
    moments m = group_moments(N, eps, in->x + g * N, row(tan->x, g * N));
    for (size_t j = 0; j < N; j++) {
      size_t i = g * N + j, c = g % H * N + j;
      double unit = (in->x[i] - m.mean) / m.dev;
      double dunit = (at(tan->x, i) - m.dmean - unit * m.ddev) / m.dev;
      double gamma = in->gamma ? in->gamma[c] : 1;
      put(y, i, unit * gamma + at(in->beta, c));
      put(dy, i, dunit * gamma + unit * at(tan->gamma, c) + at(tan->beta, c));
    }
  }
}

void oracle_group_norm(size_t rows, size_t H, size_t N, double eps, const oracle_norm_in *in, double *y) {
  oracle_group_norm_jvp(rows, H, N, eps, in, NULL, y, NULL);
}

void oracle_layer_norm_jvp(size_t rows, size_t C, double eps, const oracle_norm_in *in,
                           const oracle_norm_in *tan, double *y, double *dy) {
  oracle_group_norm_jvp(rows, 1, C, eps, in, tan, y, dy);
}

void oracle_layer_norm(size_t rows, size_t C, double eps, const oracle_norm_in *in, double *y) {
  oracle_layer_norm_jvp(rows, C, eps, in, NULL, y, NULL);
}

/* y = x / L with L = max(|x|, min_norm): dy = (dx - y dL) / L, dL = (x . dx) / |x| above min_norm, else 0. */
void oracle_l2_norm_jvp(size_t rows, size_t N, double min_norm, const double *x, const double *dx, double *y,
                        double *dy) {
  for (size_t o = 0; o < rows * N; o += N) {
    double square = 0, dot = 0;
    for (size_t i = 0; i < N; i++) {
      square += x[o + i] * x[o + i];
      dot += x[o + i] * at(dx, o + i);
    }
    int above = sqrt(square) > min_norm;
    double length = above ? sqrt(square) : min_norm, dlength = above ? dot / length : 0;
    for (size_t i = o; i < o + N; i++) {
      double unit = x[i] / length;
      put(y, i, unit);
      put(dy, i, (at(dx, i) - unit * dlength) / length);
    }
  }
}

void oracle_l2_norm(size_t rows, size_t N, double min_norm, const double *x, double *y) {
  oracle_l2_norm_jvp(rows, N, min_norm, x, NULL, y, NULL);
}

/* ---- head QK: sections 1, 2, 4 ----------------------------------------------------------------------- */

/* q . k and its direction dq . k + q . dk */
static double dot_jvp(size_t D, const double *q, const double *k, const double *dq, const double *dk,
                      double *dsum) {
  double sum = 0;
  *dsum = 0;
  for (size_t i = 0; i < D; i++) {
    sum += q[i] * k[i];
    *dsum += at(dq, i) * k[i] + q[i] * at(dk, i);
  }
  return sum;
}

void oracle_head_qk_jvp(oracle_qk_dims n, const double *q, const double *k, const int *tok, const double *dq,
                        const double *dk, double *logits, double *dlogits) {
  for (size_t b = 0; b < n.B; b++)
    for (size_t t = 0; t < n.T; t++)
      for (size_t u = 0; u <= t; u++) {
        size_t source = b * n.T + u, iq = (b * n.T + t) * n.D, ik = source * n.D;
        size_t o = (b * n.T + t) * n.V + (size_t)tok[source];
        double dscore, score = dot_jvp(n.D, q + iq, k + ik, row(dq, iq), row(dk, ik), &dscore);
        if (logits) logits[o] += score / (double)n.D;
        if (dlogits) dlogits[o] += dscore / (double)n.D;
      }
}

void oracle_head_qk(oracle_qk_dims n, const double *q, const double *k, const int *tok, double *logits) {
  oracle_head_qk_jvp(n, q, k, tok, NULL, NULL, logits, NULL);
}

/* ---- softmax attention ------------------------------------------------------------------------------- */

/* Channel i of one output: a quotient of exponentially weighted terms, as in v2 ... v4. q is the head's row, k and v
 * its first rows, `stride` apart. */
static void attention_terms(size_t seen, size_t N, size_t stride, size_t i, const oracle_attention_in *in,
                            const oracle_attention_in *tan, term *terms) {
  long double root = sqrtl((long double)N);
  for (size_t u = 0; u < seen; u++) {
    double dscore;
    double score = dot_jvp(N, in->q, in->k + u * stride, tan->q, row(tan->k, u * stride), &dscore);
    terms[u] = (term){.p = wide(score) / root, .x = wide(in->v[u * stride + i]), .z = 1,
                      .dp = wide(dscore) / root, .dx = wide(at(tan->v, u * stride + i)), .dz = 0};
  }
}

static oracle_attention_in attention_slice(const oracle_attention_in *in, size_t q, size_t k) {
  return (oracle_attention_in){row(in->q, q), row(in->k, k), row(in->v, k)};
}

void oracle_attention_jvp(oracle_dims n, size_t U, const oracle_attention_in *in, const oracle_attention_in *tan,
                          double *y, double *dy) {
  const oracle_attention_in zero = {0};
  term *terms = zalloc(U, sizeof *terms);
  for (size_t b = 0; b < n.B; b++)
    for (size_t t = 0; t < n.T; t++)
      for (size_t h = 0; h < n.H; h++) {
        size_t o = ((b * n.T + t) * n.H + h) * n.N, first = (b * U * n.H + h) * n.N, seen = U - n.T + t + 1;
        oracle_attention_in x = attention_slice(in, o, first), dx = attention_slice(tan ? tan : &zero, o, first);
        for (size_t i = 0; i < n.N; i++) {
          attention_terms(seen, n.N, n.H * n.N, i, &x, &dx, terms);
          put_quotient(sum_terms(terms, seen, largest_term(terms, seen)->p, 0), o + i, y, dy);
        }
      }
  free(terms);
}

void oracle_attention(oracle_dims n, size_t U, const oracle_attention_in *in, double *y) {
  oracle_attention_jvp(n, U, in, NULL, y, NULL);
}

/* ---- tiny attention: section 4 ------------------------------------------------------------------------ */

/* y[t] = W x[t] for each of `tokens` rows; W is [out,in]. */
static void linear_jvp(size_t tokens, size_t in, size_t out, const double *w, const double *x,
                       const double *dw, const double *dx, double *y, double *dy) {
  for (size_t t = 0; t < tokens; t++)
    for (size_t o = 0; o < out; o++) {
      size_t i = t * out + o;
      y[i] = dot_jvp(in, w + o * in, x + t * in, row(dw, o * in), row(dx, t * in), &dy[i]);
    }
}

/* y_t = x_t + sum_{u<=t} (q_t . k_u) D^{-1/2} v_u for one batch row; q, k [T,D], v, x, y [T,C]. */
static void tiny_mix(oracle_tiny_dims n, const double *q, const double *k, const double *v, const double *dq,
                     const double *dk, const double *dv, const double *x, const double *dx, double *y,
                     double *dy) {
  double scale = 1 / sqrt((double)n.D);
  for (size_t t = 0; t < n.T; t++)
    for (size_t c = 0; c < n.C; c++) {
      double sum = x[t * n.C + c], dsum = at(dx, t * n.C + c);
      for (size_t u = 0; u <= t; u++) {
        double dscore, score = dot_jvp(n.D, q + t * n.D, k + u * n.D, dq + t * n.D, dk + u * n.D, &dscore);
        sum += score * scale * v[u * n.C + c];
        dsum += scale * (dscore * v[u * n.C + c] + score * dv[u * n.C + c]);
      }
      put(y, t * n.C + c, sum);
      put(dy, t * n.C + c, dsum);
    }
}

void oracle_tiny_attention_jvp(oracle_tiny_dims n, const oracle_tiny_in *in, const oracle_tiny_in *tan,
                               double *y, double *dy) {
  const oracle_tiny_in zero = {0};
  size_t tokens = n.B * n.T, nc = tokens * n.C, nd = tokens * n.D;
  double *buffer = new_doubles(4 * (nc + nd));
  double *xx = buffer, *dxx = xx + nc, *v = dxx + nc, *dv = v + nc;
  double *q = dv + nc, *dq = q + nd, *k = dq + nd, *dk = k + nd;
  if (!tan) tan = &zero;
  oracle_norm_in ln = {in->x, in->gamma, in->beta}, dln = {tan->x, tan->gamma, tan->beta};
  oracle_layer_norm_jvp(tokens, n.C, 1e-5, &ln, &dln, xx, dxx);
  linear_jvp(tokens, n.C, n.D, in->wq, xx, tan->wq, dxx, q, dq);
  linear_jvp(tokens, n.C, n.D, in->wk, xx, tan->wk, dxx, k, dk);
  linear_jvp(tokens, n.C, n.C, in->wv, in->e, tan->wv, tan->e, v, dv);
  for (size_t b = 0; b < n.B; b++) {
    size_t c = b * n.T * n.C, d = b * n.T * n.D;
    tiny_mix(n, q + d, k + d, v + c, dq + d, dk + d, dv + c, in->x + c, row(tan->x, c), out_row(y, c),
             out_row(dy, c));
  }
  free(buffer);
}

void oracle_tiny_attention(oracle_tiny_dims n, const oracle_tiny_in *in, double *y) {
  oracle_tiny_attention_jvp(n, in, NULL, y, NULL);
}

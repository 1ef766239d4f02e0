/* Closed-form test oracles, see oracle.h for the formulas, shapes and conventions: weighted sums over tokens. */
#include "oracle_inside.h"

#include <math.h>
#include <stdlib.h>

/* ---- v1: section 1 ----------------------------------------------------------------------------------- */

/* w[h,t,u] = time_w[h, ctx-1-(t-u)] alpha[h,u] beta[h,t]; the derivative is returned in *dw. */
static double wkv1_weight(size_t ctx, size_t h, size_t t, size_t u, const oracle_wkv1_in *in, const oracle_wkv1_in *tan,
                          double *dw)
{
  size_t iw = h * ctx + ctx - 1 - (t - u), ia = h * ctx + u, ib = h * ctx + t;
  double w = in->time_w[iw], a = in->alpha[ia], b = in->beta[ib];
  *dw = at(tan->time_w, iw) * a * b + w * at(tan->alpha, ia) * b + w * a * at(tan->beta, ib);
  return w * a * b;
}

void oracle_wkv1_jvp(oracle_dims n, size_t ctx, const oracle_wkv1_in *in, const oracle_wkv1_in *tan, double *y,
                     double *dy)
{
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

void oracle_wkv1(oracle_dims n, size_t ctx, const oracle_wkv1_in *in, double *y)
{
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
static ratio sum_terms(const term *terms, size_t count, long double m, long double dm)
{
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

static const term *largest_term(const term *terms, size_t count)
{
  const term *best = terms;
  for (size_t i = 1; i < count; i++)
    if (terms[i].p > best->p) best = &terms[i];
  return best;
}

static void put_quotient(ratio r, size_t i, double *y, double *dy)
{
  long double q = r.num / r.den;
  put(y, i, (double)q);
  put(dy, i, (double)((r.dnum - q * r.dden) / r.den));
}

/* The token terms of one channel: p = k_s, x = v_s, z = 1 (not yet decayed), plus an initial term. */
typedef struct {
  term *token;  /* [T] */
  term initial; /* used when has_initial */
  int has_initial;
  long double *w, *dw; /* [T]: log-decay of each token */
  long double u, du;   /* log-bonus of the current token */
} channel;

static channel new_channel(size_t T)
{
  return (channel){
      .token = zalloc(T, sizeof(term)), .w = zalloc(T, sizeof(long double)), .dw = zalloc(T, sizeof(long double))};
}

static void free_channel(channel *ch)
{
  free(ch->token);
  free(ch->w);
  free(ch->dw);
}

/*
 * Everything before token t: exponent p_s + W(s,t) for tokens s < t, and p0 + W(-1,t) for the initial term,
 * where W(s,t), the sum of w over s < n < t, grows as s goes down. Returns the number of terms. t = T gives
 * the final state.
 */
static size_t past_terms(const channel *ch, size_t t, term *terms)
{
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
static size_t output_terms(const channel *ch, size_t t, term *terms)
{
  size_t count = past_terms(ch, t, terms);
  terms[count] = ch->token[t];
  terms[count].p += ch->u;
  terms[count++].dp += ch->du;
  return count;
}

/* Fills the tokens of channel c of batch row b. Keys above k_max are clamped, which kills their direction. */
static void load_tokens(oracle_dims n, size_t b, size_t c, double k_max, const double *k, const double *v,
                        const double *dk, const double *dv, term *token)
{
  for (size_t t = 0; t < n.T; t++) {
    size_t i = (b * n.T + t) * n.H * n.N + c;
    int clamped = k[i] > k_max;
    double key = clamped ? k_max : k[i], dkey = clamped ? 0 : at(dk, i);
    token[t] = (term){.p = wide(key), .x = wide(v[i]), .z = 1, .dp = wide(dkey), .dx = wide(at(dv, i)), .dz = 0};
  }
}

/* ---- v2 / v3 ---- */

static void wkv2_channel(oracle_dims n, double eps, size_t b, size_t c, const channel *ch, term *terms,
                         const oracle_wkv2_out *out, const oracle_wkv2_out *dout)
{
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
                     const oracle_wkv2_out *out, const oracle_wkv2_out *dout)
{
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
      ch.initial = (term){.p = 0,
                          .x = wide(at(in->a0, i)),
                          .z = wide(at(in->b0, i)),
                          .dp = 0,
                          .dx = wide(at(tan->a0, i)),
                          .dz = wide(at(tan->b0, i))};
      wkv2_channel(n, eps, b, c, &ch, terms, out, dout);
    }
  free_channel(&ch);
  free(terms);
}

void oracle_wkv2(oracle_dims n, double eps, const oracle_wkv2_in *in, const oracle_wkv2_out *out)
{
  oracle_wkv2_jvp(n, eps, in, NULL, out, NULL);
}

/* ---- v4 ---- */

static void wkv4_channel(oracle_dims n, size_t b, size_t c, const channel *ch, term *terms, const oracle_wkv4_out *out,
                         const oracle_wkv4_out *dout)
{
  size_t C = n.H * n.N, count;
  for (size_t t = 0; t < n.T; t++) {
    count = output_terms(ch, t, terms);
    put_quotient(sum_terms(terms, count, largest_term(terms, count)->p, 0), (b * n.T + t) * C + c, out->y, dout->y);
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

void oracle_wkv4_jvp(oracle_dims n, const oracle_wkv4_in *in, const oracle_wkv4_in *tan, const oracle_wkv4_out *out,
                     const oracle_wkv4_out *dout)
{
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
      ch.initial = (term){.p = wide(at(in->p0, i)),
                          .x = wide(at(in->a0, i)),
                          .z = wide(at(in->b0, i)),
                          .dp = wide(at(tan->p0, i)),
                          .dx = wide(at(tan->a0, i)),
                          .dz = wide(at(tan->b0, i))};
      wkv4_channel(n, b, c, &ch, terms, out, dout);
    }
  free_channel(&ch);
  free(terms);
}

void oracle_wkv4(oracle_dims n, const oracle_wkv4_in *in, const oracle_wkv4_out *out)
{
  oracle_wkv4_jvp(n, in, NULL, out, NULL);
}

/* ---- head QK: sections 1, 2, 4 ----------------------------------------------------------------------- */

/* q . k and its direction dq . k + q . dk */
static double dot_jvp(size_t D, const double *q, const double *k, const double *dq, const double *dk, double *dsum)
{
  double sum = 0;
  *dsum = 0;
  for (size_t i = 0; i < D; i++) {
    sum += q[i] * k[i];
    *dsum += at(dq, i) * k[i] + q[i] * at(dk, i);
  }
  return sum;
}

void oracle_head_qk_jvp(oracle_qk_dims n, const double *q, const double *k, const int *tok, const double *dq,
                        const double *dk, double *logits, double *dlogits)
{
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

void oracle_head_qk(oracle_qk_dims n, const double *q, const double *k, const int *tok, double *logits)
{
  oracle_head_qk_jvp(n, q, k, tok, NULL, NULL, logits, NULL);
}

/* ---- softmax attention ------------------------------------------------------------------------------- */

/* Channel i of one output: a quotient of exponentially weighted terms, as in v2 ... v4. q is the head's row, k and v
 * its first rows, `stride` apart. */
static void attention_terms(size_t seen, size_t N, size_t stride, size_t i, const oracle_attention_in *in,
                            const oracle_attention_in *tan, term *terms)
{
  long double root = sqrtl((long double)N);
  for (size_t u = 0; u < seen; u++) {
    double dscore;
    double score = dot_jvp(N, in->q, in->k + u * stride, tan->q, row(tan->k, u * stride), &dscore);
    terms[u] = (term){.p = wide(score) / root,
                      .x = wide(in->v[u * stride + i]),
                      .z = 1,
                      .dp = wide(dscore) / root,
                      .dx = wide(at(tan->v, u * stride + i)),
                      .dz = 0};
  }
}

static oracle_attention_in attention_slice(const oracle_attention_in *in, size_t q, size_t k)
{
  return (oracle_attention_in){row(in->q, q), row(in->k, k), row(in->v, k)};
}

void oracle_attention_jvp(oracle_dims n, size_t U, const oracle_attention_in *in, const oracle_attention_in *tan,
                          double *y, double *dy)
{
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

void oracle_attention(oracle_dims n, size_t U, const oracle_attention_in *in, double *y)
{
  oracle_attention_jvp(n, U, in, NULL, y, NULL);
}

/* ---- tiny attention: section 4 ------------------------------------------------------------------------ */

/* y[t] = W x[t] for each of `tokens` rows; W is [out,in]. */
static void linear_jvp(size_t tokens, size_t in, size_t out, const double *w, const double *x, const double *dw,
                       const double *dx, double *y, double *dy)
{
  for (size_t t = 0; t < tokens; t++)
    for (size_t o = 0; o < out; o++) {
      size_t i = t * out + o;
      y[i] = dot_jvp(in, w + o * in, x + t * in, row(dw, o * in), row(dx, t * in), &dy[i]);
    }
}

/* y_t = x_t + sum_{u<=t} (q_t . k_u) D^{-1/2} v_u for one batch row; q, k [T,D], v, x, y [T,C]. */
static void tiny_mix(oracle_tiny_dims n, const double *q, const double *k, const double *v, const double *dq,
                     const double *dk, const double *dv, const double *x, const double *dx, double *y, double *dy)
{
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

void oracle_tiny_attention_jvp(oracle_tiny_dims n, const oracle_tiny_in *in, const oracle_tiny_in *tan, double *y,
                               double *dy)
{
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
    tiny_mix(n, q + d, k + d, v + c, dq + d, dk + d, dv + c, in->x + c, row(tan->x, c), out_row(y, c), out_row(dy, c));
  }
  free(buffer);
}

void oracle_tiny_attention(oracle_tiny_dims n, const oracle_tiny_in *in, double *y)
{
  oracle_tiny_attention_jvp(n, in, NULL, y, NULL);
}

/*
 * Independent test oracles for the RWKV cores, v1 ... v7.
 *
 * Every function evaluates the CLOSED form of an operator (a direct double sum over token pairs, or a sum
 * of explicit matrix products) in double precision or better. None is a step-by-step recurrence, and none
 * shares code with the implementations under test. They are slow: O(T^2) or worse.
 *
 * Conventions
 *  - Section numbers are those of the specification.
 *  - All arrays are dense and row-major, the last index listed is the fastest one.
 *  - B batch rows, T >= 1 tokens, H heads of N channels, C = H*N; channel c = h*N + n. An array written
 *    [B,T,H,N] is therefore the same memory as [B,T,C]. Channel-wise cores (v1 ... v4) accept any H, N with
 *    H*N = C, except that v1 has per-head tables.
 *  - A *_jvp function is forward-mode differentiation: from inputs `in` and a tangent `tan` (the same struct,
 *    holding the direction for each input) it gives the outputs and their directional derivative.
 *    In `tan`, a NULL member means a zero direction; `tan` itself may be NULL (all zero).
 *  - Initial states are optional: NULL means an empty state. When in->x0 is NULL, tan->x0 is still read if
 *    set for wkv2, wkv6 and wkv7 (the derivative at the zero state); for wkv4 it must then be NULL.
 *  - Any output pointer, and the output structs of the tangents, may be NULL when not wanted.
 *  - Outputs are overwritten, except in oracle_head_qk*, which adds to the logits.
 */
#ifndef ORACLE_H
#define ORACLE_H

#include <stddef.h>

typedef struct {
  size_t B, T, H, N;
} oracle_dims;

/* ---- v1 attention core, section 1 --------------------------------------------------------------------
 * y[b,t,c] = sum_{u<=t} w[h,t,u] k[b,u,c] v[b,u,c] / sum_{u<=t} k[b,u,c]      (denominator unweighted)
 * w[h,t,u] = time_w[h, ctx-1-(t-u)] * alpha[h,u] * beta[h,t],  T <= ctx.
 * The receptance gate, the output matrix and time_gamma are not part of it.
 */
typedef struct {
  const double *k;      /* [B,T,C], already exp(clamp(., -60, 30)) */
  const double *v;      /* [B,T,C] */
  const double *time_w; /* [H,ctx] */
  const double *alpha;  /* [H,ctx], over the source position u */
  const double *beta;   /* [H,ctx], over the target position t */
} oracle_wkv1_in;

/* y, dy: [B,T,C] */
void oracle_wkv1(oracle_dims n, size_t ctx, const oracle_wkv1_in *in, double *y);
void oracle_wkv1_jvp(oracle_dims n, size_t ctx, const oracle_wkv1_in *in, const oracle_wkv1_in *tan, double *y,
                     double *dy);

/* ---- v2 / v3 core, sections 2 and 3 ------------------------------------------------------------------
 * e_s = exp(min(k_s, 60)), lambda = exp(-d), U = exp(u); per channel
 * y_t = (U e_t v_t + sum_{s<t} lambda^{t-1-s} e_s v_s + lambda^t a0)
 *     / (U e_t     + sum_{s<t} lambda^{t-1-s} e_s     + lambda^t b0 + eps)
 * Final state: the two sums at t = T. The receptance gate is not part of it.
 * The direction of k is dropped where k > 60 (clamped) and kept at k = 60.
 */
typedef struct {
  const double *k, *v;   /* [B,T,C], k raw */
  const double *d;       /* [C], d = exp(time_decay) > 0 */
  const double *u;       /* [C], u = time_first (a logarithm) */
  const double *a0, *b0; /* [B,C] or NULL: initial numerator and denominator */
} oracle_wkv2_in;

typedef struct {
  double *y;     /* [B,T,C] */
  double *a, *b; /* [B,C]: state after the last token */
} oracle_wkv2_out;

void oracle_wkv2(oracle_dims n, double eps, const oracle_wkv2_in *in, const oracle_wkv2_out *out);
void oracle_wkv2_jvp(oracle_dims n, double eps, const oracle_wkv2_in *in, const oracle_wkv2_in *tan,
                     const oracle_wkv2_out *out, const oracle_wkv2_out *dout);

/* ---- v4 core, section 4 ------------------------------------------------------------------------------
 * Long double, every sum scaled by its own largest exponent; per channel
 * W(s,t) = sum_{s<n<t} w_n
 * y_t = (e^{u+k_t} v_t + sum_{s<t} e^{k_s+W(s,t)} v_s + e^{p0+W(-1,t)} a0)
 *     / (e^{u+k_t}     + sum_{s<t} e^{k_s+W(s,t)}     + e^{p0+W(-1,t)} b0)
 * Final state: p = the largest exponent among k_s+W(s,T) and p0+W(-1,T), and a, b = the two sums at t = T
 * times e^{-p}. This p is also the one the running-maximum recurrence ends with. The model's w is the same
 * for all tokens: W(s,t) = (t-1-s) w.
 * dp is the direction of that largest exponent and da, db hold for this moving p; the combinations
 * da + a dp and db + b dp do not depend on the choice of p.
 * The initial state is all three of a0, b0, p0, or none (then all NULL).
 */
typedef struct {
  const double *k, *v;        /* [B,T,C] */
  const double *w;            /* [B,T,C], log-decay <= 0 */
  const double *u;            /* [C], u = time_first */
  const double *a0, *b0, *p0; /* [B,C] or NULL */
} oracle_wkv4_in;

typedef struct {
  double *y;         /* [B,T,C] */
  double *a, *b, *p; /* [B,C] */
} oracle_wkv4_out;

void oracle_wkv4(oracle_dims n, const oracle_wkv4_in *in, const oracle_wkv4_out *out);
void oracle_wkv4_jvp(oracle_dims n, const oracle_wkv4_in *in, const oracle_wkv4_in *tan, const oracle_wkv4_out *out,
                     const oracle_wkv4_out *dout);

/* ---- v5.0 ... v6.0 core, sections 5 and 6 ------------------------------------------------------------
 * W(s,t)_j = prod_{s<n<t} exp(w[n,j]); per head, key channel j, value channel i
 * y[t,i] = sum_{s<t} (sum_j r[t,j] W(s,t)_j k[s,j]) v[s,i] + (sum_j r[t,j] u_j k[t,j]) v[t,i]
 *        + sum_j r[t,j] W(-1,t)_j S0[j,i]
 * S[j,i] = sum_{s<T} W(s,T)_j k[s,j] v[s,i] + W(-1,T)_j S0[j,i]
 * v5.2: w the same for all tokens; v5.0, v5.1: also the same for all channels of a head (as is u; v5.0
 * has u = exp(time_first)). The group norm and the gate are not part of it.
 */
typedef struct {
  const double *r;     /* [B,T,H,N] */
  const double *w;     /* [B,T,H,N], log-decay <= 0, i.e. -exp(time_decay...) */
  const double *k, *v; /* [B,T,H,N] */
  const double *u;     /* [H,N] */
  const double *s0;    /* [B,H,N key,N value] or NULL */
} oracle_wkv6_in;

typedef struct {
  double *y; /* [B,T,H,N] */
  double *s; /* [B,H,N key,N value] */
} oracle_wkv6_out;

void oracle_wkv6(oracle_dims n, const oracle_wkv6_in *in, const oracle_wkv6_out *out);
void oracle_wkv6_jvp(oracle_dims n, const oracle_wkv6_in *in, const oracle_wkv6_in *tan, const oracle_wkv6_out *out,
                     const oracle_wkv6_out *dout);

/* ---- v7 core, section 7 ------------------------------------------------------------------------------
 * A_n = diag(exp(w_n)) + a_n b_n^T, acting on the state [value,key] from the right:
 * S_t = sum_{s<=t} v_s k_s^T A_{s+1} ... A_t + S0 A_0 ... A_t,    y_t = S_t r_t
 * For the model: a = -kappa (normalised), b = kappa * (in-context rate), w = -exp(-1/2) sigmoid(...).
 */
typedef struct {
  const double *r;     /* [B,T,H,N] */
  const double *w;     /* [B,T,H,N], log-decay */
  const double *k, *v; /* [B,T,H,N] */
  const double *a, *b; /* [B,T,H,N] */
  const double *s0;    /* [B,H,N value,N key] or NULL */
} oracle_wkv7_in;

typedef struct {
  double *y; /* [B,T,H,N] */
  double *s; /* [B,H,N value,N key] */
} oracle_wkv7_out;

void oracle_wkv7(oracle_dims n, const oracle_wkv7_in *in, const oracle_wkv7_out *out);
void oracle_wkv7_jvp(oracle_dims n, const oracle_wkv7_in *in, const oracle_wkv7_in *tan, const oracle_wkv7_out *out,
                     const oracle_wkv7_out *dout);

/* ---- norms, section 0.1 ------------------------------------------------------------------------------
 * layer norm: (x - mean) / sqrt(var + eps) * gamma + beta per row, biased variance
 * group norm: the same for each group of N channels of a row, then per-channel gamma, beta
 * l2 norm:    x / max(|x|_2, min_norm) per row (section 7, step 5: min_norm = 1e-12)
 */
typedef struct {
  const double *x;     /* layer norm [rows,C]; group norm [rows,H*N] */
  const double *gamma; /* [C] or [H*N]; NULL in `in`: ones */
  const double *beta;  /* same; NULL in `in`: zeros */
} oracle_norm_in;

/* x, y, dx, dy: the shape of x */
void oracle_layer_norm(size_t rows, size_t C, double eps, const oracle_norm_in *in, double *y);
void oracle_layer_norm_jvp(size_t rows, size_t C, double eps, const oracle_norm_in *in, const oracle_norm_in *tan,
                           double *y, double *dy);
void oracle_group_norm(size_t rows, size_t H, size_t N, double eps, const oracle_norm_in *in, double *y);
void oracle_group_norm_jvp(size_t rows, size_t H, size_t N, double eps, const oracle_norm_in *in,
                           const oracle_norm_in *tan, double *y, double *dy);
/* x, dx, y, dy: [rows,N] */
void oracle_l2_norm(size_t rows, size_t N, double min_norm, const double *x, double *y);
void oracle_l2_norm_jvp(size_t rows, size_t N, double min_norm, const double *x, const double *dx, double *y,
                        double *dy);

/* ---- head QK, sections 1, 2 and 4 --------------------------------------------------------------------
 * logits[b,t,tok[b,u]] += (q[b,t] . k[b,u]) / D for every u <= t; repeated tokens add up.
 */
typedef struct {
  size_t B, T, D, V;
} oracle_qk_dims;

/* q, k, dq, dk: [B,T,D]; tok: [B,T], each in 0 ... V-1; logits, dlogits: [B,T,V], ADDED to */
void oracle_head_qk(oracle_qk_dims n, const double *q, const double *k, const int *tok, double *logits);
void oracle_head_qk_jvp(oracle_qk_dims n, const double *q, const double *k, const int *tok, const double *dq,
                        const double *dk, double *logits, double *dlogits);

/* ---- softmax attention, Vaswani et al. 2017, eq. 1 ---------------------------------------------------
 * Of the last T of U positions; t' = U - T + t is the place of output t, per head
 * y[t,i] = sum_{u<=t'} e^{q_t.k_u / sqrt N} v[u,i] / sum_{u<=t'} e^{q_t.k_u / sqrt N}
 */
typedef struct {
  const double *q;     /* [B,T,H,N] */
  const double *k, *v; /* [B,U,H,N] */
} oracle_attention_in;

/* y, dy: [B,T,H,N] */
void oracle_attention(oracle_dims n, size_t U, const oracle_attention_in *in, double *y);
void oracle_attention_jvp(oracle_dims n, size_t U, const oracle_attention_in *in, const oracle_attention_in *tan,
                          double *y, double *dy);

/* ---- Mamba's selective scan, Gu and Dao 2023, section 3.2 ----------------------------------------------
 * W(s,t)_{d,n} = e^{A_{d,n} sum_{s<q<=t} delta[q,d]}; per channel d
 * h[t,d,n] = sum_{s<=t} W(s,t)_{d,n} delta[s,d] B[s,n] x[s,d] + W(-1,t)_{d,n} h0[d,n]
 * y[t,d] = sum_n C[t,n] h[t,d,n]
 */
typedef struct {
  const double *x, *delta; /* [B,T,D] */
  const double *a;         /* [D,N] */
  const double *b, *c;     /* [B,T,N] */
  const double *h0;        /* [B,D,N] or NULL */
} oracle_scan_in;

typedef struct {
  double *y; /* [B,T,D] */
  double *h; /* [B,D,N], after the last token */
} oracle_scan_out;

/* n.H channels of n.N */
void oracle_scan(oracle_dims n, const oracle_scan_in *in, const oracle_scan_out *out);
void oracle_scan_jvp(oracle_dims n, const oracle_scan_in *in, const oracle_scan_in *tan, const oracle_scan_out *out,
                     const oracle_scan_out *dout);

/* ---- v4a tiny attention, section 4 -------------------------------------------------------------------
 * xx = LN(x; gamma, beta, 1e-5), e = raw embedding rows (before ln0)
 * y_t = x_t + sum_{u<=t} (Wq xx_t . Wk xx_u) D^{-1/2} Wv e_u          (no softmax)
 */
typedef struct {
  size_t B, T, C, D;
} oracle_tiny_dims;

typedef struct {
  const double *x;            /* [B,T,C] */
  const double *e;            /* [B,T,C] */
  const double *gamma, *beta; /* [C], tiny_ln */
  const double *wq, *wk;      /* [D,C], tiny_q and tiny_k (no bias) */
  const double *wv;           /* [C,C], tiny_v (no bias) */
} oracle_tiny_in;

/* y, dy: [B,T,C], including the residual x */
void oracle_tiny_attention(oracle_tiny_dims n, const oracle_tiny_in *in, double *y);
void oracle_tiny_attention_jvp(oracle_tiny_dims n, const oracle_tiny_in *in, const oracle_tiny_in *tan, double *y,
                               double *dy);

#endif

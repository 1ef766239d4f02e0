/* The recurrences (ref/wkv1.c .. wkv7.c). A log-decay w is <= 0, in nats per step. The state comes in as S0 (a0, ...)
   and goes out as S1 (a1, ...). Of a backward op each incoming gradient may be NULL. */
#ifndef AVIARY_K_WKV_H
#define AVIARY_K_WKV_H

#include "k_segments.h"

/* [v1.4], for the last T <= U <= ctx positions */
typedef struct {
  real *y;                      /* [B,T,H,N] */
  const real *w, *alpha, *beta; /* [H,ctx] */
  const real *k, *v;            /* [B,U,H,N], k > 0 */
  size_t B, T, U, H, N, ctx;
} Wkv1;
typedef struct {
  real *gw, *galpha, *gbeta, *gk, *gv;
  const real *gy;
  Wkv1 forward;
} Wkv1Backward;
void k_wkv1(const Wkv1 *op);
void k_wkv1_backward(const Wkv1Backward *op);

/* [v2.4], [v2.5] */
typedef struct {
  real *y;             /* [B,T,C] */
  real *a1, *b1;       /* [B,C] */
  real *trace;         /* [B,T,2,C] a, b before each token, for the backward pass; or NULL */
  const real *w, *u;   /* [C]: log-decay, log-weight of the current token */
  const real *e, *v;   /* [B,T,C], e > 0 */
  const real *a0, *b0; /* [B,C] */
  acc eps;
  size_t B, T, C;
} Wkv2;
typedef struct {
  real *gw, *gu, *ge, *gv, *ga0, *gb0;
  const real *gy, *ga1, *gb1;
  Wkv2 forward;
} Wkv2Backward;
void k_wkv2(const Wkv2 *op);
void k_wkv2_backward(const Wkv2Backward *op);

/* [v4.4]-[v4.6]; r is applied outside */
typedef struct {
  real *y;                  /* [B,T,C] */
  real *a1, *b1, *p1;       /* [B,C] */
  real *trace;              /* [B,T,3,C] a, b, p before each token, for the backward pass; or NULL */
  const real *w;            /* [decay_rows,C]: one for all tokens, or B T */
  const real *u;            /* [C] */
  const real *k, *v;        /* [B,T,C] */
  const real *a0, *b0, *p0; /* [B,C] */
  size_t B, T, C, decay_rows;
} Wkv4;
typedef struct {
  real *gw, *gu, *gk, *gv, *ga0, *gb0, *gp0;
  const real *gy, *ga1, *gb1, *gp1;
  Wkv4 forward;
} Wkv4Backward;
void k_wkv4(const Wkv4 *op);
void k_wkv4_backward(const Wkv4Backward *op);

/* [v5.4], [v5.5] */
typedef struct {
  real *y;               /* [B,T,H,N] */
  real *S1;              /* [B,H,N key,N value] */
  real *segments;        /* [B,H,segments,N,N] the state before each segment, or NULL */
  const real *r, *k, *v; /* [B,T,H,N] */
  const real *w;         /* [decay_rows,H,N]: one for all tokens, or B T */
  const real *u;         /* [H,N] */
  const real *S0;        /* [B,H,N,N] */
  size_t B, T, H, N, decay_rows;
} Wkv6;
typedef struct {
  real *gr, *gw, *gk, *gv, *gu, *gS0;
  real *scratch; /* [B,H,1+WKV_SEGMENT,N,N] */
  const real *gy, *gS1;
  Wkv6 forward;
} Wkv6Backward;
void k_wkv6(const Wkv6 *op);
void k_wkv6_backward(const Wkv6Backward *op);

/* [v7.8], [v7.9] */
typedef struct {
  real *y;                           /* [B,T,H,N] */
  real *S1;                          /* [B,H,N value,N key] */
  real *segments;                    /* [B,H,segments,N,N] the state before each segment, or NULL */
  const real *r, *w, *k, *v, *a, *b; /* [B,T,H,N] */
  const real *S0;                    /* [B,H,N,N] */
  size_t B, T, H, N;
} Wkv7;
typedef struct {
  real *gr, *gw, *gk, *gv, *ga, *gb, *gS0;
  real *scratch; /* [B,H,k_wkv7_scratch(N)] */
  const real *gy, *gS1;
  Wkv7 forward;
} Wkv7Backward;
size_t k_wkv7_scratch(size_t N); /* numbers */
void k_wkv7(const Wkv7 *op);
void k_wkv7_backward(const Wkv7Backward *op);

#endif

/* The selective scan of Mamba. gy and gh1 may be NULL. */
#ifndef AVIARY_K_SCAN_H
#define AVIARY_K_SCAN_H

#include "k_segments.h"

/* h_t = e^{delta A} h_{t-1} + delta B x, y = C' h_t */
typedef struct {
  real *y;               /* [B,T,D] */
  real *h1;              /* [B,D,N] */
  real *segments;        /* [B,segments,D,N] the state before each segment, or NULL */
  const real *x, *delta; /* [B,T,D] */
  const real *A;         /* [D,N], <= 0 */
  const real *Bm, *Cm;   /* [B,T,N] */
  const real *h0;        /* [B,D,N] */
  size_t B, T, D, N;
} SelectiveScan;
typedef struct {
  real *gx, *gdelta, *gA, *gB, *gC, *gh0;
  real *scratch; /* [B,2+WKV_SEGMENT,D,N] */
  const real *gy, *gh1;
  SelectiveScan forward;
} SelectiveScanBackward;
void k_selective_scan(const SelectiveScan *op);
void k_selective_scan_backward(const SelectiveScanBackward *op);

#endif

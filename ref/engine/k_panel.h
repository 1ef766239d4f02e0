/* Products of the rows of a matrix with a panel: PANEL vectors of which the first numbers stand together, then the
   second ones, and so on. Each number is a sum in one order, so that it has the same bits however wide the processor's
   vectors are. */
#ifndef AVIARY_K_PANEL_H
#define AVIARY_K_PANEL_H

#include "num.h"

enum { PANEL = 32 };

typedef struct {
  acc *s;        /* [rows,PANEL] */
  acc *x;        /* [n,PANEL] */
  const acc *q;  /* [rows,n]; */
  size_t stride; /* from a row to the next */
  size_t rows, n;
} Panel;

void k_panel_along(const Panel *op);   /* s += q x */
void k_panel_without(const Panel *op); /* x -= q' s */

#endif

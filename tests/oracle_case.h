/* A case against its oracle (oracle.h): values, final states; and the backward pass against the oracle's forward-mode
   derivative, without any finite difference: for a direction d of the inputs and a gradient g of the outputs,
   <g, derivative of the outputs along d>  =  <gradients of the inputs, d>. */
#ifndef AVIARY_ORACLE_CASE_H
#define AVIARY_ORACLE_CASE_H

#include "oracle.h"
#include "wkv_cases.h"

/* Outputs and their derivative along d, as the case's run lays them out; both start as zeros. */
typedef void Jvp(double *y, double *dy, double *const *x, double *const *d, const OpCase *c);

void check_against(const OpCase *c, Jvp *jvp);
/* Every look at every cut: outputs, state, both; whole, in two, token by token. key: the leaf [B,T,C]. */
void check_looks_and_cuts(OpCase c, Jvp *jvp, int key);
void print_worst(void); /* what the checks have let pass */

/* Where the case's outputs go; NULL if they are not looked at. The state stands behind y [B,T,C]. */
double *y_place(double *y, const OpCase *c);
double *state_place(double *y, const OpCase *c, int key);
oracle_dims dims_of(const OpCase *c, int key);

#endif

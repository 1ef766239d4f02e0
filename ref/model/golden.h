/* Comparing a model with golden numbers: official logits, states, loss and gradients. */
#ifndef AVIARY_GOLDEN_H
#define AVIARY_GOLDEN_H

#include "model.h"

enum { GOLDEN_MAX_LINES = 64 };

/* One kind of tensor ("logits_gpt", "state", "grad", ...), or one tensor that could not be compared. */
typedef struct {
  char kind[80];
  char problem[200]; /* not empty: why there is no comparison */
  char note[80];     /* what else there is to know, such as a tolerance of its own */
  int tensors;
  /* the largest of |found - expected|; of compare_error; of |found - expected| / |expected|: io/compare.h */
  double worst_abs, worst, worst_rel;
  char at[96];            /* the tensor where `worst` is */
  size_t index;           /* and its flat index in it */
  double found, expected; /* and the two numbers */
  double tol;             /* passes if worst <= tol */
} GoldenLine;

/* Runs the model on the golden file's tokens ([T] or [B,T]) as a sequence, token by token, and backwards
   from the loss, as far as the file has numbers for it. Every tensor of the file is compared or named in
   a line with a problem. Returns the number of lines. The model's gradients are overwritten. */
int golden_verify(Model *m, TensorFile *golden, double tol, GoldenLine lines[GOLDEN_MAX_LINES]);

bool golden_line_ok(const GoldenLine *line);

#endif

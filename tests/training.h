/* A small model that learns associative recall, for tests of backends in real training. */
#ifndef AVIARY_TEST_TRAINING_H
#define AVIARY_TEST_TRAINING_H

#include "engine/backend.h"
#include "models.h"

enum { MOST_STEPS = 200 };

typedef struct {
  const char *version;
  const Backend *backend;
  int threads, steps, C, N;          /* threads: of the fast kernels */
  double loss[MOST_STEPS], held_out; /* of each step; at the end, of examples never trained on */
  real *params;                      /* all of them at the end; for free() */
  size_t bytes;
  /* while it runs */
  Model *model;
  Optim *optim;
  Tape *tape;
  State *state; /* of the step at work */
} Training;

/* Trains; what shadow mode or anything else complains of, or NULL. Afterwards the reference is at work. */
const char *training_run(Training *r);
Training trained(Training r); /* the same; a complaint fails the test */

/* Bit for bit: the loss of each step, that at the end, and all parameters. `what` is compared, for the message. */
void assert_same_training(const Training *x, const Training *y, const char *what);
/* The loss at the end is that of the reference, to 1e-3. */
void assert_like_reference(const Training *x, const Training *reference);

#endif

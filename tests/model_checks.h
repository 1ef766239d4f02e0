/* What must hold for a model whatever stands in its slots. `what` names it in a failure. */
#ifndef AVIARY_TEST_MODEL_CHECKS_H
#define AVIARY_TEST_MODEL_CHECKS_H

#include "models.h"

/* Logits and state of a run do not depend on where the sequence is cut, nor on whether it is recorded: bit for bit.
   The fast kernels give the same up to rounding. */
void check_pieces(const char *what, Model *m);

/* The slope of a loss along random directions is what the gradient says: a direction through all parameters, and one
   through those with `part` in their names (NULL: only the first). In float within a few percent. */
void check_slopes(const char *what, Model *m, const char *part);

/* Parameters and state are as many as version_counts says, before there is a model. */
void check_counts(const char *what, Model *m);

/* Written and read again, given the hooks by slot (or NULL), it is the same model. Needs files_setup. */
void check_round_trip(const char *what, Model *m, const Dims *hooks);

void write_model(const Model *m, const char *path);
/* Fails as model_load does. */
Model *load_model(const char *path, const Dims *hooks);

#endif

/* Putting a model together, parameter by parameter; for this folder. */
#ifndef AVIARY_MODEL_BUILD_H
#define AVIARY_MODEL_BUILD_H

#include "model.h"

/* One place of a version's parameter lists, or of the lists of its hooks. */
typedef struct {
  const ParamSpec *spec;
  const char *name; /* in full */
  int layer;        /* -1: around the blocks */
  int slot, index;  /* of a hook's parameter: the hook's slot, and where it stands in the hook's list; -1, 0 */
  bool expected;    /* whether a parameter stands there */
} Place;
typedef void EachParam(void *ctx, const Place *p);
void for_each_param(const Version *v, const Dims *d, EachParam *each, void *ctx);

Model *model_empty(const Version *v, const Dims *d); /* without parameters */
/* An empty model becomes one for inference, with room in one piece for parameters of so many bytes. */
void model_reserve(Model *m, size_t bytes);
/* With values 0, and with a gradient unless the model is for inference; not expected: unused. In a model for inference
   packed, if `as` is not NULL and is not how `real` is stored. */
Tensor *model_add_param(Model *m, const Place *p, const Storage *as);
/* Whether it is a matrix of the version's own that only t_linear, t_matmul or t_rows takes: it may be packed. */
bool is_multiplied(const Place *p);
/* All work that was put off is done now: for memory that is given back, and for moments, which are no tensors. */
void model_flush(const Model *m);
int layer_state_count(const Version *v, const Dims *d); /* the version's, then that of its hooks, slot by slot */
void resolve_shape(const ShapeSpec *s, const Dims *d, int shape[MAX_AXES]);

/* ---- files ---- */

/* The hooks named in a file's metadata, of those given or built in, into d; fails where there is none. */
void hooks_of_file(const StFile *f, const char *names, const Hook *const *given, Dims *d);
void write_design(const Model *m, StWriter *w);
/* Sizes that no parameter shows, as of heads that the version does not have, as they were when the model was made. */
void sizes_of_file(const StFile *f, const Version *v, Dims *d);
/* Digits and nothing else, of a number that is not larger than `most`; otherwise false. */
bool read_digits(const char *text, size_t length, long most, long *out);

#endif

/* Putting a model together, parameter by parameter; for model.c and model_file.c. */
#ifndef AVIARY_MODEL_BUILD_H
#define AVIARY_MODEL_BUILD_H

#include "model.h"

/* Called for every place of a version's parameter lists; `expected` says whether a parameter stands there. */
typedef void EachParam(void *ctx, const ParamSpec *spec, const char *name, int layer, bool expected);
void for_each_param(const Version *v, const Dims *d, EachParam *each, void *ctx);

Model *model_empty(const Version *v, const Dims *d); /* without parameters */
/* Adds a parameter with gradient, values 0. layer -1: around the blocks. */
void model_add_param(Model *m, const ParamSpec *spec, const char *name, int layer, bool unused);
void resolve_shape(const ShapeSpec *s, const Dims *d, int shape[MAX_AXES]);

#endif

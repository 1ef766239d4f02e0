/* Putting a model together, parameter by parameter. */
#ifndef AVIARY_BUILD_H
#define AVIARY_BUILD_H

#include "layout.h"
#include "model.h"

Model *model_empty(const Version *v, const Dims *d); /* without parameters */
/* An empty model becomes one for inference, with room in one piece for parameters of so many bytes. */
void model_reserve(Model *m, size_t bytes);
/* With values 0, and with a gradient unless the model is for inference; not expected: unused. In a model for inference
   packed, if `as` is not NULL and is not how `real` is stored. */
void model_see_param(Model *m, const LayoutParam *p, Packed numbers); /* which stay where they are */
Tensor *model_add_param(Model *m, const LayoutParam *p, const Storage *as);
#endif

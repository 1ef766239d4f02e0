/* All gradients of a model as one vector, and some numbers beside them. */
#ifndef AVIARY_GRADIENTS_H
#define AVIARY_GRADIENTS_H

#include "engine/num.h"

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

enum { BESIDE = 5 };

typedef struct {
  size_t n, params;
  double beside[BESIDE];
  real of[]; /* and then, for each parameter, whether gradient has flowed into it */
} Gradients;

static inline bool *gradients_reached(Gradients *g) { return (bool *)(g->of + g->n); }
static inline size_t gradients_bytes(const Gradients *g) { return g->n * sizeof g->of[0] + g->params * sizeof(bool); }

Gradients *check_gradients(lua_State *L, int index); /* raises on anything else */

#endif

/* All gradients of a model as one vector, and some numbers beside them. */
#ifndef AVIARY_GRADIENTS_H
#define AVIARY_GRADIENTS_H

#include "engine/num.h"

#include <lua.h>
#include <stddef.h>

enum { BESIDE = 4 };

typedef struct {
  size_t n;
  double beside[BESIDE];
  real of[];
} Gradients;

Gradients *check_gradients(lua_State *L, int index); /* raises on anything else */

#endif

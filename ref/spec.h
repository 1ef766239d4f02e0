/* What a version lists: its parameters and its state. */
#ifndef AVIARY_SPEC_H
#define AVIARY_SPEC_H

#include "init.h"
#include "where.h"

typedef struct {
  const char *name; /* official name, without "blocks.i." */
  ShapeSpec shape;
  Where *where;
  void (*init)(const Init *in);
  double gain;     /* argument of init */
  double lr_scale; /* multiple of the learning rate in the official trainer's groups */
  size_t field;    /* offset of the Tensor* in the version's struct */
  bool shared;     /* of a hook: one for all layers */
} ParamSpec;

/* A parameter list is written once,  #define V7_BLOCK(P) P(field, "name", shape, where, init, gain, lr) ...
   and gives the struct (with PARAM_FIELD) and the table (with PARAM_SPEC, for the struct called BLOCK). */
#define PARAM_FIELD(field, ...) Tensor *field;
#define PARAM_SPEC(field, name, shape, where, init, gain, lr) \
  {name, shape, where, init, gain, lr, offsetof(BLOCK, field), false},

/* One tensor of the state, [B, shape..]. In a block that does not have it every size but B is 0. */
typedef struct {
  const char *name;
  ShapeSpec shape;
  Where *where;
  double start; /* value before the first token */
} StateSpec;

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

#endif

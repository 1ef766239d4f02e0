/* What there is to know of every op, from its row in op_table.h. Backends, shadow mode and tests take it from here. */
#ifndef AVIARY_OPS_H
#define AVIARY_OPS_H

#include "kernels.h"

typedef enum {
#define OP(name, ...) OP_##name,
#include "op_table.h"
  OP_COUNT
} OpId;

typedef enum { READ, WRITE, UPDATE, SCRATCH, INDEX } Access;
typedef enum { OF_REAL, OF_ACC, OF_INT, OF_PACKED } OperandType;

typedef struct {
  const char *name;
  size_t at;    /* where its pointer is in the struct, in bytes */
  void *data;   /* NULL: it is left out */
  size_t count; /* of numbers; */
  size_t size;  /* and bytes of one */
  OperandType type;
  Access access;
  bool in_parts;  /* each part of the op has its part of it; otherwise all of it */
  size_t terms;   /* how many products a number of it is the sum of, at most; */
  const char *of; /* and the operands that those are products of: "g x", or "" */
} Operand;

enum { MOST_OPERANDS = 32, MOST_OP_BYTES = 512 };

typedef struct {
  const char *name;
  size_t bytes;                   /* of the struct */
  void (*kernel)(const void *op); /* the reference */
  size_t (*parts)(const void *op);
  int (*operands)(const void *q, Operand *out); /* returns how many */
} OpRow;

extern const OpRow op_rows[OP_COUNT];

#endif

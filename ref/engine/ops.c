#include "ops.h"

/* clang-format off */

/* ---- the kernel of a row, and its parts ---- */

#define OP(name, Struct, ...)                                                  \
  static void run_##name(const void *op) { k_##name(op); }                       \
  _Static_assert(sizeof(Struct) <= MOST_OP_BYTES, "an op that is too large");
#include "op_table.h"

#define OP(name, Struct, count, ...)                                           \
  static size_t parts_of_##name(const void *arg)                               \
  {                                                                            \
    const Struct *op = arg;                                                     \
    return count;                                                              \
  }
#include "op_table.h"

/* ---- its operands ---- */

/* In the float64 build a real is an acc: which of the two it is called makes no difference there. */
#define TYPE_OF(p) _Generic(*(p), real: OF_REAL, int: OF_INT, default: OF_ACC)
#define OPERAND(field, how, each_its_own, n, sum, made_of)                                                     \
  *o++ = (Operand){.name = #field, .at = (size_t)((const char *)&op->field - (const char *)op),                  \
                   .data = (void *)op->field, .count = (n), .size = sizeof *op->field, .type = TYPE_OF(op->field), \
                   .access = how, .in_parts = (each_its_own), .terms = (sum), .of = made_of};
#define READS(x, n) OPERAND(x, READ, true, n, 1, "")
#define READS_ALL(x, n) OPERAND(x, READ, false, n, 1, "")
#define READS_IF(x, condition, n) OPERAND(x, READ, condition, n, 1, "")
#define READS_CAST(x, shape, step) \
  READS_IF(x, k_broadcast_in_parts(&shape, shape.step), k_broadcast_held(&shape, shape.step))
#define WRITES(x, n) OPERAND(x, WRITE, true, n, 1, "")
#define WRITES_ALL(x, n) OPERAND(x, WRITE, false, n, 1, "")
#define SUMS(x, terms, n) OPERAND(x, WRITE, true, n, terms, "")
#define SUMS_ALL(x, terms, n) OPERAND(x, WRITE, false, n, terms, "")
#define UPDATES(x, n) OPERAND(x, UPDATE, true, n, 1, "")
#define ADDS(x, terms, n) OPERAND(x, UPDATE, true, n, terms, "")
#define ADDS_ALL(x, terms, of, n) OPERAND(x, UPDATE, false, n, terms, of)
#define ADDS_IF(x, condition, terms, n) OPERAND(x, UPDATE, condition, n, terms, "")
#define ADDS_CAST(x, shape, step)                                                                            \
  ADDS_IF(x, k_broadcast_in_parts(&shape, shape.step),                                                       \
          k_broadcast_size(&shape) / (k_broadcast_held(&shape, shape.step) + !k_broadcast_size(&shape)),     \
          k_broadcast_held(&shape, shape.step))
#define SCRATCH(x, n) OPERAND(x, SCRATCH, true, n, 1, "")
#define SCRATCH_ALL(x, n) OPERAND(x, SCRATCH, false, n, 1, "")
/* f: the op that has the program; there are as many as it has inputs */
#define READS_STEP(f, x, i) \
  if (i < (f).program->inputs) READS_IF(x[i], (f).program->input[i] == OF_TOKENS, k_steps_held(&(f), i))
#define ADDS_STEP(f, i)          \
  if (i < (f).program->inputs) \
  ADDS_IF(gin[i], (f).program->input[i] == OF_TOKENS, k_steps_terms(&(f)), k_steps_held(&(f), i))
#define INDEX(x, n) OPERAND(x, INDEX, true, n, 1, "")
#define INDEX_ALL(x, n) OPERAND(x, INDEX, false, n, 1, "")
#define PACKED(x, n)                                                                                          \
  *o++ = (Operand){.name = #x, .at = (size_t)((const char *)&op->x.bits - (const char *)op),                    \
                   .data = (void *)op->x.bits, .count = (n), .size = storage_size(op->x.storage), .type = OF_PACKED, \
                   .access = READ, .of = ""};

#define OP(name, Struct, parts, ...)                              \
  static int operands_of_##name(const void *arg, Operand *out)    \
  {                                                               \
    const Struct *op = arg;                                        \
    Operand *o = out;                                             \
    __VA_ARGS__                                                   \
    return (int)(o - out);                                        \
  }
#include "op_table.h"

/* ---- the table ---- */

const OpRow op_rows[OP_COUNT] = {
#define OP(name, Struct, ...)                                                                           \
  [OP_##name] = {#name, sizeof(Struct), run_##name, parts_of_##name, operands_of_##name},
#include "op_table.h"
};

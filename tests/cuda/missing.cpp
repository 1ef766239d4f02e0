/* Until every op has its kernel. */
#include "device.h"
#define OP(name, Struct, ...) \
  __attribute__((weak)) void c_##name(const Struct *op) { op_rows[OP_##name].kernel(op); }
#include "../engine/op_table.h"

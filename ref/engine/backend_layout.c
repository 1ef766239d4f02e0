/* What a module and the program must have alike. It is compiled into both. */
#include "backend.h"

static const struct {
  const char *name;
  size_t bytes;
} ops[] = {
#define OP(name, Struct, ...) {#name, sizeof(Struct)},
#include "op_table.h"
};

uint64_t backend_layout(void)
{
  uint64_t h = sizeof(real) + 16 * sizeof(Backend);
  for (int id = 0; id < OP_COUNT; id++) {
    for (const char *c = ops[id].name; *c; c++) h = (h ^ (unsigned char)*c) * 0x100000001b3; /* FNV-1a */
    h = (h ^ ops[id].bytes) * 0x100000001b3;
  }
  return h;
}

#include "ops.h"

#define OPS_REFERENCE(name) .name = k_##name,
const Ops reference_ops = {OPS(OPS_REFERENCE)};
Ops ops = {OPS(OPS_REFERENCE)};

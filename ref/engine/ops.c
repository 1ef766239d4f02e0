#include "ops.h"

static void nothing_waits(void) {}
static void any_batch(size_t B, size_t T, size_t C) { (void)B, (void)T, (void)C; }
static bool never(const void *p) { return (void)p, false; }

#define OPS_REFERENCE(name) .name = k_##name,
#define REFERENCE {OPS(OPS_REFERENCE).settle = nothing_waits, .batch = any_batch, .read_later = never}
const Ops reference_ops = REFERENCE;
Ops ops = REFERENCE;

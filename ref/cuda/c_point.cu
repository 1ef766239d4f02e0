/* Pointwise ops. */
#include "device.h"

void c_clear(const Clear *op) { device_check(cudaMemsetAsync(op->x, 0, op->n * sizeof(real), device_stream), "clear"); }

/* GGUF. */
#include "tensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
  fuzz_tensors(bytes, size, (8 << 20) + 200 * size);
  return 0;
}

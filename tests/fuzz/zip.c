/* Zip archives: .pth and .npz, whole files. What is deflated may claim 1032 times its size. */
#include "tensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
  fuzz_tensors(bytes, size, (8 << 20) + 1500 * size);
  return 0;
}

/* The pickle of a .pth, in an archive that is whole: opcodes, and what is made of them. Six floats stand beside it. */
#include "tensors.h"

#include "../zip_bytes.c"

static ZipBytes z;     /* one that is large, cleared as far as it was used */
static size_t storage; /* where the floats end in it */

static void check(const TensorFile *f) { fuzz_within(f, fuzz_mapped + storage - 24, 24); }

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
  static const float six[6] = {1, 2, 3, 4, 5, 6};
  if (size > ZIP_BYTES_ROOM / 2) return 0;
  z.size = z.listed = 0, z.count = 0;
  zip_bytes_add(&z, "m/data.pkl", bytes, size);
  zip_bytes_add(&z, "m/data/0", six, sizeof six);
  storage = z.size;
  zip_bytes_end(&z);
  fuzz_checked(z.bytes, z.size, (8 << 20) + 2000 * z.size, check);
  return 0;
}

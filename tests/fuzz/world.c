/* Vocabularies of World, or what else a text file may be, and a text behind it. */
#include "longest.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
  fuzz_with_vocabulary(bytes, size, fuzz_against_longest);
  return 0;
}

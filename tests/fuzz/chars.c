/* Vocabularies of characters, {"0":"a", ..}, in UTF-8 and UTF-16, and a text behind it. */
#include "longest.h"

static void use(FuzzText *f)
{
  Ids ids = {0};
  if (f->t->bpe) return;
  FuzzTokens sorted = fuzz_sorted(f->t);
  bool good = fuzz_text(f->t, f->text, f->n, f->cut, true, &ids);
  fuzz_longest(&sorted, f->text, f->n, good, &ids);
  free(sorted.tokens);
  ids_release(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
  fuzz_with_vocabulary(bytes, size, use);
  return 0;
}

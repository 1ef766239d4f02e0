/* JSON of Hugging Face's tokenizers, and a text behind it. What is normalised, or has added tokens, need not be spelt
   by its ids. */
#include "merges.h"

static void use(FuzzText *f)
{
  Ids ids = {0};
  const Bpe *b = f->t->bpe;
  bool exact = !b || (!b->normalise && !b->raw.longest && !b->normal.longest);
  if (fuzz_text(f->t, f->text, f->n, f->cut, exact, &ids) && b) fuzz_merges(b, f->text, f->n, &ids);
  ids_release(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
  fuzz_with_vocabulary(bytes, size, use);
  return 0;
}

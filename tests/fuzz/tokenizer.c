/* Any text through whole vocabularies: the small ones of the tests, the real ones where they are, and bytes. The last
   byte says where the text is cut. */
#include "longest.h"
#include "merges.h"

static const char *const paths[] = {"bytes", "tests/text/world.txt", "tests/text/bpe.json",
                                    "../shared/data/vocab/rwkv_vocab_v20230424.txt",
                                    "../shared/data/vocab/20B_tokenizer.json"};
enum { PATHS = sizeof paths / sizeof *paths };
static Tokenizer *tokenizer[PATHS];
static FuzzTokens sorted[PATHS];

int LLVMFuzzerInitialize(int *argc, char ***argv);

/* It takes seconds, and no run of libFuzzer may. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
  (void)argc, (void)argv;
  for (int i = 0; i < PATHS; i++) {
    FuzzText f = {.path = paths[i]};
    const char *problem = rwkv_protect(fuzz_open_tokenizer, &f);
    if (problem) printf("SKIPPED  %s\n", problem);
    else tokenizer[i] = f.t, sorted[i] = fuzz_sorted(f.t);
  }
  fuzz_need(tokenizer[1] && tokenizer[2], "tests/text is not here");
  return 0;
}

/* The text that the ids stand for has the same ids: it is normalised. */
static void check_again(Tokenizer *t, const Ids *ids)
{
  Ids again = {0};
  uint8_t *text = NULL;
  size_t n = 0, room = 0, length;
  for (size_t i = 0; i < ids->n; i++, n += length) {
    const unsigned char *bytes = tokenizer_bytes(t, ids->id[i], &length);
    text = buffer_grow(text, &room, n + length, 1, "a text");
    memcpy(text + n, bytes, length);
  }
  fuzz_need(n == 0 || fuzz_text(t, text, n, n / 2, true, &again), "what was decoded is not encoded");
  fuzz_need(fuzz_same_ids(ids, &again), "what was decoded has other ids");
  if (text) rwkv_release(text);
  ids_release(&again);
}

static void check(int i, const uint8_t *text, size_t n, size_t cut)
{
  Ids ids = {0};
  const Bpe *b = tokenizer[i]->bpe;
  bool ascii = true, known = true; /* 20B has no tokens for the bytes that UTF-8 never has */
  for (size_t k = 0; k < n; k++) ascii &= text[k] < 0x80, known &= !b || b->byte_id[text[k]] >= 0;
  bool good = fuzz_text(tokenizer[i], text, n, cut, !b || ascii, &ids);
  fuzz_need(good == known, "a text is not encoded, or should not be");
  if (!b) fuzz_longest(&sorted[i], text, n, good, &ids);
  else if (good) fuzz_merges(b, text, n, &ids), check_again(tokenizer[i], &ids);
  ids_release(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
  if (size < 1) return 0;
  size_t n = size - 1, cut = n ? bytes[n] % (n + 1) : 0;
  for (int i = 0; i < PATHS; i++)
    if (tokenizer[i]) check(i, bytes, n, cut);
  return 0;
}

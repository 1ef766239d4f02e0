/* Golden files against a small model of v7, which is made once. */
#include "lines.h"
#include "tensors.h"

#include "model/golden.h"

enum { TOKENS_MOST = 32 };
static Model *model;
static size_t before; /* bytes of the model */

static void make(void *arg)
{
  (void)arg;
  const Dims d = {.L = 1, .C = 4, .N = 4, .V = 5, .Dw = 2, .Da = 2, .Dv = 2, .Dg = 2};
  model = model_new(version_find("v7"), &d, 1);
  before = memory_used();
}

static void verify(void *arg)
{
  static GoldenLine lines[GOLDEN_MAX_LINES];
  int count = golden_verify(model, ((FuzzTensors *)arg)->file, 1e-3, lines);
  fuzz_need(count >= 0 && count <= GOLDEN_MAX_LINES, "more lines than there is room for");
  for (int i = 0; i < count; i++) fuzz_need(*lines[i].problem || lines[i].tensors > 0, "a line that compares nothing");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
  if (!model) fuzz_need(!rwkv_protect(make, NULL), "no model");
  size_t numbers;
  FuzzTensors t = {.path = lines_file(bytes, size, &numbers)};
  if (!rwkv_protect(fuzz_open, &t)) {
    const FileTensor *tokens = file_find(t.file, "tokens");
    const char *problem = tokens && tokens->n > TOKENS_MOST ? NULL : rwkv_protect(verify, &t);
    fuzz_need(!problem || strstr(problem, t.path), "an error without the file's name");
  }
  file_close(t.file);
  fuzz_need(memory_used() == before, "memory that is not given back");
  return 0;
}

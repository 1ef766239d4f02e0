/* Models under any names: every number in the file is another one, so that it shows what becomes of them. */
#include "lines.h"
#include "tensors.h"

#include "io/names.h"
#include "model/recognise.h"

static size_t numbers;

/* Whatever became of a tensor, its numbers are some of the file's, none of them twice. */
static void look(void *arg)
{
  static double x[FILE_MOST];
  static unsigned seen[FILE_MOST], turn;
  const TensorFile *f = arg;
  for (int i = 0; i < file_count(f); i++) {
    const FileTensor *t = file_tensor(f, i);
    fuzz_need(file_find(f, t->name) == t, "a tensor is not found by its name");
    fuzz_need(t->n <= FILE_MOST, "a tensor is larger than the file");
    if (!file_is_floating(t->type)) continue;
    file_read_doubles(f, t, x);
    turn++;
    for (size_t k = 0; k < t->n; k++) {
      fuzz_need(x[k] >= 0 && x[k] < (double)numbers, "a number that is not in the file");
      fuzz_need(seen[(size_t)x[k]] != turn, "a number is there twice");
      seen[(size_t)x[k]] = turn;
    }
  }
}

static void look_at(TensorFile *f) { fuzz_need(!rwkv_protect(look, f), "a tensor cannot be read"); }

static void official(void *arg) { names_official(arg); }
static void known(void *arg) { names_known(arg, "v7"); }

typedef struct {
  TensorFile *f;
  const char *family;
} To;

static void to_family(void *arg)
{
  const To *t = arg;
  names_to(t->f, t->family);
}

typedef struct {
  TensorFile *f;
  int head_size;
  bool is_model;
} Recognise;

static void recognise(void *arg)
{
  Recognise *r = arg;
  Fit fit = recognise_model(r->f, &(LoadOptions){.head_size = r->head_size});
  r->is_model = true;
  fuzz_need(fit.d.L > 0 && fit.d.C > 0 && fit.d.V > 0 && !fit.misfits, "a model without sizes");
  fuzz_need(fit.d.N == 0 || fit.d.H * fit.d.N == fit.d.A, "heads that do not fill the channels");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
  FuzzTensors t = {.path = lines_file(bytes, size, &numbers)};
  if (!rwkv_protect(fuzz_open, &t)) {
    look_at(t.file);
    if (!rwkv_protect(official, t.file)) {
      int count = file_count(t.file);
      look_at(t.file);
      fuzz_need(!rwkv_protect(official, t.file) && file_count(t.file) == count,
                "names are not official the second time");
    }
    Recognise r = {t.file, size % 2 ? 2 : 0, false};
    rwkv_protect(recognise, &r);
    To to = {t.file, names_families[1 + size % 3]};
    if (r.is_model && !rwkv_protect(to_family, &to)) look_at(t.file);
  }
  file_close(t.file);
  t.file = NULL;
  if (!rwkv_protect(fuzz_open, &t) && !rwkv_protect(known, t.file)) look_at(t.file);
  file_close(t.file);
  fuzz_need(memory_used() == 0, "memory that is not given back");
  return 0;
}

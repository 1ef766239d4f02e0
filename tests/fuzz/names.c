/* Models under any names: a file of safetensors is made of lines of text, each a tensor (NAME SIZE ..) or metadata
   (@KEY TEXT). Every number in it is another one, so that it shows what becomes of them. */
#include "tensors.h"

#include "io/names.h"
#include "model/recognise.h"

enum { TENSOR_MOST = 1024, FILE_MOST = 16384, HEADER_MOST = 65536 }; /* numbers, numbers, bytes */

typedef struct {
  char header[HEADER_MOST];
  size_t length;
  size_t numbers;
} Made;

static void put(Made *m, const char *text, size_t n)
{
  for (size_t i = 0; i < n && m->length < HEADER_MOST - 400; i++) m->header[m->length++] = text[i];
}

static void put_text(Made *m, const char *text, size_t n)
{
  for (size_t i = 0; i < n && i < 200; i++) {
    if (text[i] == '"' || text[i] == '\\') put(m, "\\", 1);
    if ((unsigned char)text[i] >= ' ') put(m, &text[i], 1);
  }
}

static void put_tensor(Made *m, const char *line, size_t length)
{
  size_t name = 0, n = 1, axes = 0;
  char entry[400], shape[100] = "";
  while (name < length && line[name] != ' ') name++;
  for (size_t at = name; at < length && axes < 5; axes++) {
    unsigned size = 0;
    while (at < length && (line[at] < '0' || line[at] > '9')) at++;
    for (; at < length && line[at] >= '0' && line[at] <= '9'; at++)
      size = (size * 10 + (unsigned)(line[at] - '0')) % 10000;
    n *= size;
    sprintf(shape + strlen(shape), "%s%u", axes ? "," : "", size);
  }
  if (n > TENSOR_MOST || m->numbers + n > FILE_MOST) return;
  put(m, ",\"", 2);
  put_text(m, line, name);
  put(m, entry,
      (size_t)sprintf(entry, "\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}", shape, 4 * m->numbers,
                      4 * (m->numbers + n)));
  m->numbers += n;
}

/* The lines whose first byte is '@' (metadata), or is not. */
static void put_lines(Made *m, const char *text, size_t size, bool metadata)
{
  bool first = true;
  for (size_t at = 0, length; at < size; at += length + 1) {
    const char *line = text + at, *end = memchr(line, '\n', size - at);
    length = end ? (size_t)(end - line) : size - at;
    if (!length || (*line == '@') != metadata) continue;
    const char *space = metadata ? memchr(line, ' ', length) : NULL;
    if (!metadata) put_tensor(m, line, length);
    if (!space) continue;
    put(m, first ? "\"" : ",\"", first ? 1 : 2);
    put_text(m, line + 1, (size_t)(space - line) - 1);
    put(m, "\":\"", 3);
    put_text(m, space + 1, length - (size_t)(space - line) - 1);
    put(m, "\"", 1);
    first = false;
  }
}

static const char *made_of(const char *text, size_t size, size_t *numbers)
{
  static uint8_t bytes[8 + HEADER_MOST + 4 * FILE_MOST];
  static Made m;
  m.length = m.numbers = 0;
  put(&m, "{\"__metadata__\":{", 17);
  put_lines(&m, text, size, true);
  put(&m, "}", 1);
  put_lines(&m, text, size, false);
  put(&m, "}", 1);
  uint64_t length = m.length;
  memcpy(bytes, &length, 8);
  memcpy(bytes + 8, m.header, m.length);
  for (size_t i = 0; i < m.numbers; i++) {
    float x = (float)i;
    memcpy(bytes + 8 + m.length + 4 * i, &x, 4);
  }
  *numbers = m.numbers;
  return fuzz_file(bytes, 8 + m.length + 4 * m.numbers);
}

/* ---- what is done with it ---- */

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
static void fla(void *arg) { names_fla(arg); }

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
  FuzzTensors t = {.path = made_of((const char *)bytes, size, &numbers)};
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
    if (r.is_model && !rwkv_protect(fla, t.file)) look_at(t.file);
  }
  file_close(t.file);
  fuzz_need(memory_used() == 0, "memory that is not given back");
  return 0;
}

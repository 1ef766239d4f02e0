/* A directory with a model in two files: the bytes are its index, and, behind a byte 0, its config.json. */
#include "tensors.h"

#include "io/writer.h"
#include "model/recognise.h"

#include <fcntl.h>

enum { PATH = 80 };
static char directory[PATH];
static int index_file, config_file;

static const char *in_directory(const char *name)
{
  static char path[2 * PATH];
  snprintf(path, sizeof path, "%s/%s", directory, name);
  return path;
}

static void write_shards(void *arg)
{
  static const char *const names[2][2] = {{"emb.weight", "blocks.0.ln0.weight"}, {"head.weight", "blocks.0.ln0.bias"}};
  static const real numbers[] = {1, 2, 3, 4};
  (void)arg;
  for (int i = 0; i < 2; i++) {
    FileWriter *w = writer_create(in_directory(i ? "b.safetensors" : "a.safetensors"));
    writer_put(w, names[i][0], 2, (int[]){2, 2}, numbers);
    writer_put(w, names[i][1], 1, (int[]){2}, numbers);
    writer_put_meta(w, "format", "pt");
    writer_finish(w);
  }
}

static void clean_up(void)
{
  static const char *const files[] = {"a.safetensors", "b.safetensors", "model.safetensors.index.json", "config.json"};
  for (int i = 0; i < 4; i++) unlink(in_directory(files[i]));
  rmdir(directory);
}

static int text_file(const char *name)
{
  int file = open(in_directory(name), O_RDWR | O_CREAT, 0600);
  fuzz_need(file >= 0, "no file in /dev/shm");
  return file;
}

static void make_directory(void)
{
  strcpy(directory, "/dev/shm/fuzz-index-XXXXXX");
  fuzz_need(mkdtemp(directory) != NULL, "no directory in /dev/shm");
  atexit(clean_up);
  fuzz_need(!rwkv_protect(write_shards, NULL), "the two files are not written");
  index_file = text_file("model.safetensors.index.json");
  config_file = text_file("config.json");
}

static void write_text(int file, const uint8_t *bytes, size_t size)
{
  fuzz_need(ftruncate(file, 0) == 0 && pwrite(file, bytes, size, 0) == (ssize_t)size, "a text is not written");
}

static void recognise(void *arg) { recognise_model(((FuzzTensors *)arg)->file, &(LoadOptions){0}); }

static void open_path(const char *path)
{
  FuzzTensors t = {.path = path};
  const char *problem = rwkv_protect(fuzz_open, &t);
  fuzz_need(!problem || strstr(problem, directory), "an error without the directory's name");
  if (!problem) {
    fuzz_need(!rwkv_protect(fuzz_look, &t), "opened, but not to be read");
    rwkv_protect(recognise, &t);
  }
  file_close(t.file);
  fuzz_need(memory_used() == 0, "memory that is not given back");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
  if (!*directory) make_directory();
  const uint8_t *zero = size ? memchr(bytes, 0, size) : NULL;
  size_t length = zero ? (size_t)(zero - bytes) : size;
  write_text(index_file, bytes, length);
  write_text(config_file, zero ? zero + 1 : (const uint8_t *)"{}", zero ? size - length - 1 : 2);
  open_path(directory);
  if (!zero) open_path(in_directory("model.safetensors.index.json"));
  return 0;
}

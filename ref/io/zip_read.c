/* What is in a zip archive: tensors of PyTorch, arrays of NumPy, or something else. */
#include "archive.h"

#include "../engine/err.h"
#include "held_json.h"
#include "npy.h"
#include "torch.h"

#include <string.h>

static bool begins(const unsigned char *bytes, size_t size)
{
  return size >= 4 && (memcmp(bytes, "PK\3\4", 4) == 0 || memcmp(bytes, "PK\5\6", 4) == 0);
}

static bool ends(const char *name, const char *ending)
{
  size_t n = strlen(name), m = strlen(ending);
  return n >= m && strcmp(name + n - m, ending) == 0;
}

/* Whether it is this file, in whatever directory. */
static bool is_file(const char *path, const char *name)
{
  size_t n = strlen(path) - strlen(name);
  return ends(path, name) && (n == 0 || path[n - 1] == '/');
}

/* How many entries are such a file; `last`: one of them. */
static int count_files(const Archive *a, const char *name, int *last)
{
  int count = 0;
  for (int i = 0; i < archive_count(a); i++)
    if (is_file(archive_name(a, i), name)) *last = i, count++;
  return count;
}

void archive_texts(TensorFile *f, Archive *a, const char *name)
{
  int i = archive_find(a, name);
  size_t size;
  if (i < 0) return;
  const unsigned char *bytes = archive_bytes(a, i, &size);
  const cJSON *j, *texts = held_json(f, bytes, size); /* in place of the archive */
  if (!texts) rwkv_fail("entry %s is not JSON", name);
  if (!cJSON_IsObject(texts)) rwkv_fail("entry %s is not a JSON object", name);
  cJSON_ArrayForEach(j, texts)
  {
    if (!cJSON_IsString(j)) rwkv_fail("entry %s: \"%s\" is not text", name, j->string);
    format_text(f, j->string, j->valuestring);
  }
}

typedef struct {
  TensorFile *f;
  const char *name;
  const unsigned char *bytes;
  size_t size;
} Array;

static void list_array(void *arg)
{
  const Array *x = arg;
  npy_list(x->f, format_copy(x->f, x->name, strlen(x->name) - strlen(".npy")), x->bytes, x->size);
}

static void list_arrays(TensorFile *f, Archive *a)
{
  static const char texts[] = "metadata.json";
  format_name(f, "NumPy");
  for (int i = 0; i < archive_count(a); i++) {
    Array x = {.f = f, .name = archive_name(a, i)};
    if (strcmp(x.name, texts) == 0) continue;
    rwkv_poll();
    x.bytes = archive_bytes(a, i, &x.size);
    const char *error = rwkv_protect(list_array, &x);
    if (error) rwkv_fail("entry %s: %s", x.name, error);
  }
  archive_texts(f, a, texts);
}

static void list(TensorFile *f, const Mapping *m)
{
  Archive *a = archive_open(f, m);
  int pickle = -1, other = -1, count = archive_count(a), arrays = 0, texts = archive_find(a, "metadata.json") >= 0;
  for (int i = 0; i < count; i++) arrays += ends(archive_name(a, i), ".npy");
  if (count_files(a, "constants.pkl", &other))
    rwkv_fail(
        "is a TorchScript archive; torch.save(torch.jit.load(FILE).state_dict(), NEW) writes one that can be read");
  int pickles = count_files(a, "data.pkl", &pickle);
  if (pickles > 1) rwkv_fail("is a zip archive with %d entries data.pkl, expected one", pickles);
  if (pickles == 1) torch_list(f, a, pickle, m->path);
  else if (arrays > 0 && arrays + texts == count) list_arrays(f, a);
  else
    rwkv_fail("is a zip archive of %d entries%s%s%s, neither PyTorch's (data.pkl) nor NumPy's (all .npy); "
              "a file of tensors in it must be unpacked first",
              count, count ? " (" : "", count ? archive_name(a, 0) : "", count ? ", ..)" : "");
}

const Format format_zip = {begins, list};

/* PyTorch's format as torch.save writes it and torch.load(FILE, weights_only=True) reads it: a state dict of tensors,
   each with a storage of its own. */
#include "archive_write.h"
#include "writer_format.h"

#include <stdlib.h>
#include <string.h>

/* The type of the storage; those without one have bytes, and a dtype. */
static const struct {
  const char *storage, *dtype;
} types[FILE_TYPES] = {
    [FILE_F64] = {"DoubleStorage", NULL},    [FILE_F32] = {"FloatStorage", NULL}, [FILE_F16] = {"HalfStorage", NULL},
    [FILE_BF16] = {"BFloat16Storage", NULL}, [FILE_I64] = {"LongStorage", NULL},  [FILE_I32] = {"IntStorage", NULL},
    [FILE_I16] = {"ShortStorage", NULL},     [FILE_I8] = {"CharStorage", NULL},   [FILE_U8] = {"ByteStorage", NULL},
    [FILE_BOOL] = {"BoolStorage", NULL},     [FILE_U64] = {NULL, "uint64"},       [FILE_U32] = {NULL, "uint32"},
    [FILE_U16] = {NULL, "uint16"},
};

/* ---- the pickle: opcodes of protocol 2 ---- */

static bool put(ArchiveOut *a, const char *opcodes) { return archive_put(a, opcodes, strlen(opcodes)); }

/* LONG1 of 8 bytes, or BININT. */
static bool put_whole(ArchiveOut *a, uint64_t x)
{
  unsigned char bytes[10] = {0x8a, 8};
  bool small = x <= 0x7fffffff;
  if (small) bytes[0] = 'J';
  for (int i = 0; i < 8; i++) bytes[(small ? 1 : 2) + i] = (unsigned char)(x >> 8 * i);
  return archive_put(a, bytes, small ? 5 : 10);
}

static bool put_text(ArchiveOut *a, const char *text)
{
  unsigned char head[5] = {'X'};
  size_t n = strlen(text);
  for (int i = 0; i < 4; i++) head[1 + i] = (unsigned char)(n >> 8 * i);
  return archive_put(a, head, 5) && archive_put(a, text, n);
}

/* ("storage", type, key, "cpu", elements), which stands outside of the pickle. */
static bool put_storage(ArchiveOut *a, const WriterPart *p, int key)
{
  char digits[16];
  const char *type = types[p->type].storage;
  snprintf(digits, sizeof digits, "%d", key);
  return put(a, "(") && put_text(a, "storage") &&
         writer_print(archive_put, a, type ? "ctorch\n%s\n" : "ctorch.storage\n%s\n", type ? type : "UntypedStorage") &&
         put_text(a, digits) && put_text(a, "cpu") && put_whole(a, type ? p->n : p->size) && put(a, "tQ");
}

/* Sizes, then strides in elements. */
static bool put_sizes(ArchiveOut *a, const WriterPart *p)
{
  uint64_t stride[FILE_MAX_AXES], n = 1;
  bool ok = put(a, "(");
  for (int i = p->axes; i-- > 0; n *= p->shape[i] ? (uint64_t)p->shape[i] : 1) stride[i] = n;
  for (int i = 0; ok && i < p->axes; i++) ok = put_whole(a, (uint64_t)p->shape[i]);
  ok = ok && put(a, "t(");
  for (int i = 0; ok && i < p->axes; i++) ok = put_whole(a, stride[i]);
  return ok && put(a, "t");
}

/* A key of the dict and its value. */
static bool put_tensor(ArchiveOut *a, const WriterPart *p, int key)
{
  const char *dtype = types[p->type].dtype;
  return put_text(a, p->name) &&
         put(a, dtype ? "ctorch._utils\n_rebuild_tensor_v3\n(" : "ctorch._utils\n_rebuild_tensor_v2\n(") &&
         put_storage(a, p, key) && put_whole(a, 0) && put_sizes(a, p) &&
         put(a, "\x89" /* no gradient */ "ccollections\nOrderedDict\n)R" /* no hooks */) &&
         (!dtype || writer_print(archive_put, a, "ctorch\n%s\n", dtype)) && put(a, "tR");
}

static bool put_pickle(ArchiveOut *a, const FileWriter *w)
{
  bool ok = put(a, "\x80\2"
                   "ccollections\nOrderedDict\n)R(");
  for (int i = 0; ok && i < w->count; i++) ok = put_tensor(a, &w->parts[i], i);
  return ok && put(a, "u.");
}

/* ---- the archive ---- */

static bool write(FileWriter *w, FILE *f)
{
  ArchiveOut a = {.file = f, .arena = &w->arena};
  char name[60];
  bool ok = archive_begin(&a, "archive/data.pkl", 0) && put_pickle(&a, w) && archive_end(&a) &&
            archive_text(&a, "archive/byteorder", "little");
  for (int i = 0; ok && i < w->count; i++) {
    snprintf(name, sizeof name, "archive/data/%d", i);
    ok = archive_begin(&a, name, w->parts[i].size) && writer_part(w, &w->parts[i], archive_put, &a) && archive_end(&a);
  }
  ok = ok && archive_text(&a, "archive/version", "3\n");
  if (ok && w->text_count)
    ok = archive_begin(&a, "archive/extra/metadata.json", 0) && writer_json_texts(w, archive_put, &a) &&
         archive_end(&a);
  return ok && archive_finish(&a);
}

const WriterFormat writer_torch = {write, NULL};

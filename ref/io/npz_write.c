/* NumPy's .npz: a zip archive of a .npy for each tensor, as numpy.savez writes it. */
#include "archive_write.h"
#include "writer_format.h"

#include <string.h>

static const char *const types[FILE_TYPES] = {
    [FILE_F64] = "<f8", [FILE_F32] = "<f4", [FILE_F16] = "<f2", [FILE_I64] = "<i8",
    [FILE_I32] = "<i4", [FILE_I16] = "<i2", [FILE_I8] = "|i1",  [FILE_U64] = "<u8",
    [FILE_U32] = "<u4", [FILE_U16] = "<u2", [FILE_U8] = "|u1",  [FILE_BOOL] = "|b1",
};

static const char *problem(const WriterPart *p)
{
  return types[p->type] ? NULL : "which NumPy has no type for: write .safetensors or .pth, or numbers of f32";
}

/* With blanks up to a multiple of 64, where the numbers begin. */
static bool put_header(ArchiveOut *a, const WriterPart *p)
{
  char text[256], sizes[FILE_MAX_AXES * 12 + 1] = "";
  for (int i = 0; i < p->axes; i++) snprintf(sizes + strlen(sizes), sizeof sizes - strlen(sizes), "%d,", p->shape[i]);
  int n = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", types[p->type],
                   sizes);
  int length = (10 + n + 1 + 63) / 64 * 64 - 10;
  unsigned char head[10] = "\x93NUMPY\1";
  head[8] = (unsigned char)length, head[9] = (unsigned char)(length >> 8);
  return archive_put(a, head, 10) && writer_print(archive_put, a, "%-*s\n", length - 1, text);
}

static bool put_array(ArchiveOut *a, FileWriter *w, const WriterPart *p)
{
  size_t n = strlen(p->name);
  char *name = arena_alloc(&w->arena, n + 5);
  memcpy(name, p->name, n);
  strcpy(name + n, ".npy");
  return archive_begin(a, name, p->size + 400) && put_header(a, p) && writer_part(w, p, archive_put, a) &&
         archive_end(a);
}

static bool write(FileWriter *w, FILE *f)
{
  ArchiveOut a = {.file = f, .arena = &w->arena};
  bool ok = true;
  for (int i = 0; ok && i < w->count; i++) ok = put_array(&a, w, &w->parts[i]);
  if (ok && w->text_count)
    ok = archive_begin(&a, "metadata.json", 0) && writer_json_texts(w, archive_put, &a) && archive_end(&a);
  return ok && archive_finish(&a);
}

const WriterFormat writer_npz = {write, problem};

/* Files of tensors that are written: PyTorch's if the path ends in .pth, .pt or .bin, NumPy's if in .npz, GGUF if in
   .gguf, otherwise safetensors. All that was put must stay until writer_finish, which reads it piece by piece into a
   temporary file that it renames to the path: an interrupted run leaves the old file. */
#ifndef AVIARY_WRITER_H
#define AVIARY_WRITER_H

#include "tensor_file.h"

typedef struct FileWriter FileWriter;

FileWriter *writer_create(const char *path);
/* F32 or F64; a packed one F32, BF16 or F16. */
void writer_put_tensor(FileWriter *w, const char *name, const Tensor *t);
void writer_put(FileWriter *w, const char *name, int axes, const int *shape, const real *data);
void writer_put_packed(FileWriter *w, const char *name, int axes, const int *shape, Packed data);
void writer_put_doubles(FileWriter *w, const char *name, int axes, const int *shape, const double *data);
void writer_put_ints(FileWriter *w, const char *name, int axes, const int *shape, const int *data); /* I64 */
/* A tensor of a file that stays open, in this type: its own, or another floating one, each number rounded to the
   nearest one, to the even one of two. writer_finish fails for a finite number that is too large. */
void writer_put_file(FileWriter *w, const char *name, const TensorFile *f, const FileTensor *t, FileType type);
void writer_put_meta(FileWriter *w, const char *key, const char *text);
/* While it is written `watch` is told again and again how many bytes of tensors are. It may fail. */
void writer_watch(FileWriter *w, void (*watch)(void *watching, size_t bytes), void *watching);
void writer_finish(FileWriter *w);  /* writes, renames and frees */
void writer_abandon(FileWriter *w); /* frees, writes nothing */

#endif

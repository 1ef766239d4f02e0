/* Files of tensors that are written. All that was put must stay until writer_finish, which reads it piece by piece
   into a temporary file that it renames to the path: an interrupted run leaves the old file. */
#ifndef AVIARY_WRITER_H
#define AVIARY_WRITER_H

#include "tensor_file.h"

typedef struct FileWriter FileWriter;

FileWriter *writer_create(const char *path);
void writer_put_tensor(FileWriter *w, const char *name,
                       const Tensor *t); /* F32 or F64; a packed one F32, BF16 or F16 */
void writer_put(FileWriter *w, const char *name, int axes, const int *shape, const real *data);   /* F32 or F64 */
void writer_put_packed(FileWriter *w, const char *name, int axes, const int *shape, Packed data); /* F32, BF16 or F16 */
void writer_put_doubles(FileWriter *w, const char *name, int axes, const int *shape, const double *data);
void writer_put_ints(FileWriter *w, const char *name, int axes, const int *shape, const int *data); /* I64 */
void writer_put_meta(FileWriter *w, const char *key, const char *text);
void writer_finish(FileWriter *w);  /* writes, renames and frees */
void writer_abandon(FileWriter *w); /* frees, writes nothing */

#endif

/* The safetensors format: 8 bytes of header length, a JSON header, then the tensors' bytes.
   One format for models, checkpoints and golden numbers. Little-endian machines only. */
#ifndef AVIARY_SAFETENSORS_H
#define AVIARY_SAFETENSORS_H

#include "../engine/tensor.h"

enum { ST_MAX_AXES = 8 };

typedef enum { ST_F64, ST_F32, ST_F16, ST_BF16, ST_I64, ST_I32, ST_U8, ST_BOOL, ST_DTYPES } StType;

typedef struct {
  const char *name;
  StType type;
  int axes;
  int shape[ST_MAX_AXES];
  size_t n;    /* elements */
  size_t from; /* first byte, from the start of the file */
} StEntry;

typedef struct StFile StFile;

/* Opens a file and checks all of its header: sizes within the file, no overlap, no name twice, known
   types. Fails with the file's name and what is wrong; never allocates by what a file merely claims. */
StFile *st_open(const char *path);
void st_close(StFile *f);
const char *st_path(const StFile *f);
_Noreturn void st_fail(const StFile *f, const char *message); /* with the file's name in front, if it is not there */
int st_count(const StFile *f);
const StEntry *st_entry(const StFile *f, int i);
const StEntry *st_find(const StFile *f, const char *name);        /* NULL if there is none */
const char *st_meta(const StFile *f, const char *key);            /* metadata text, or NULL */
const char *st_meta_at(const StFile *f, int i, const char **key); /* the i-th by key, and its key, or NULL */
const char *st_type_name(StType type);                            /* "F32" */

/* All e->n elements, converted. st_read takes floating types, st_read_ints integers that fit an int. */
void st_read(StFile *f, const StEntry *e, real *out);
void st_read_doubles(StFile *f, const StEntry *e, double *out);
void st_read_ints(StFile *f, const StEntry *e, int *out);
/* Into a tensor of e->n elements; a packed one takes the bytes as they are, in its own storage (see st_storage). */
void st_read_tensor(StFile *f, const StEntry *e, Tensor *t);
bool st_storage(StType type, Storage *out); /* how such numbers can be kept packed; false: they cannot */

typedef struct StWriter StWriter;

/* Collects tensors and writes them to a temporary file that st_finish renames to `path`: an interrupted
   run leaves the old file. All that was put must stay until st_finish, which reads it piece by piece. */
StWriter *st_create(const char *path);
void st_put_tensor(StWriter *w, const char *name, const Tensor *t); /* F32 or F64; a packed one F32, BF16 or F16 */
void st_put(StWriter *w, const char *name, int axes, const int *shape, const real *data);   /* F32 or F64 */
void st_put_packed(StWriter *w, const char *name, int axes, const int *shape, Packed data); /* F32, BF16 or F16 */
void st_put_doubles(StWriter *w, const char *name, int axes, const int *shape, const double *data);
void st_put_ints(StWriter *w, const char *name, int axes, const int *shape, const int *data); /* I64 */
void st_put_meta(StWriter *w, const char *key, const char *text);
void st_finish(StWriter *w);  /* writes, renames and frees */
void st_abandon(StWriter *w); /* frees, writes nothing */

#endif

/* Files of tensors that are read: safetensors, PyTorch's .pth, NumPy's .npz and .npy, GGUF, text with a number a line,
   and models in several of them.
   One interface for all; what a file is, it says by how it begins. A file is mapped, not read: opening one of many
   gigabytes takes no time, and its numbers stay where they are until somebody wants them. Little-endian machines
   only. */
#ifndef AVIARY_TENSOR_FILE_H
#define AVIARY_TENSOR_FILE_H

#include "../engine/tensor.h"

enum { FILE_MAX_AXES = 8 };

/* The floating ones first. */
typedef enum {
  FILE_F64,
  FILE_F32,
  FILE_F16,
  FILE_BF16,
  FILE_I64,
  FILE_I32,
  FILE_I16,
  FILE_I8,
  FILE_U64,
  FILE_U32,
  FILE_U16,
  FILE_U8,
  FILE_BOOL,
  FILE_TYPES
} FileType;

typedef struct {
  const char *name;
  const char *given; /* its name in the file, where `name` is the official one for it */
  FileType type;
  bool swapped; /* big-endian */
  bool written; /* as text: `type` holds the numbers, in which one they were computed is not known */
  int axes;
  int shape[FILE_MAX_AXES];
  ptrdiff_t stride[FILE_MAX_AXES]; /* elements from one to the next along an axis */
  size_t n;                        /* elements */
  const unsigned char *bytes;      /* of the first element */
  int place;                       /* in the order of the file */
} FileTensor;

typedef struct TensorFile TensorFile;

/* Opens a file, or a directory or an index that says in which files a model stands, and checks all but the numbers:
   sizes within the file, no name twice, known types. Fails with the file's name and what is wrong, or what it is
   instead; never takes memory by what a file merely claims. */
TensorFile *file_open(const char *path);
TensorFile *file_keep(TensorFile *f); /* one file_close more */
void file_close(TensorFile *f);
/* What was read of it need not stay in memory: it is read again when somebody looks. */
void file_forget(const TensorFile *f);
/* Fails if somebody wrote to the file, or cut it short, since it was opened: its numbers are others then. */
void file_check(const TensorFile *f);

const char *file_path(const TensorFile *f);
const char *file_format(const TensorFile *f); /* "safetensors", "PyTorch", .. */
/* With the file's name in front, if it is not there. */
_Noreturn void file_fail(const TensorFile *f, const char *message);
int file_count(const TensorFile *f);
const FileTensor *file_tensor(const TensorFile *f, int i);              /* by name */
const FileTensor *file_find(const TensorFile *f, const char *name);     /* NULL if there is none */
const char *file_meta(const TensorFile *f, const char *key);            /* metadata text, or NULL */
const char *file_meta_at(const TensorFile *f, int i, const char **key); /* the i-th by key, and its key, or NULL */

const char *file_type_name(FileType type); /* "F32" */
size_t file_type_size(FileType type);      /* bytes */
bool file_is_floating(FileType type);
bool file_storage(FileType type, Storage *out); /* how such numbers can be kept packed; false: they cannot */
bool file_row_major(const FileTensor *t);       /* its elements follow each other as in a Tensor */
/* Where they stand in memory just as a packed tensor wants them; NULL: they do not. They stay as long as the file. */
const void *file_bits(const FileTensor *t, Storage *out);

/* All t->n elements in row-major order, converted. file_read takes floating types, file_read_ints integers that fit an
   int, file_read_doubles all, as the nearest double. */
void file_read(const TensorFile *f, const FileTensor *t, real *out);
void file_read_ints(const TensorFile *f, const FileTensor *t, int *out);
void file_read_doubles(const TensorFile *f, const FileTensor *t, double *out);
/* n of them, starting at `from`: as doubles; in the file's own type, little-endian. */
void file_read_part(const TensorFile *f, const FileTensor *t, size_t from, size_t n, double *out);
void file_read_bytes(const TensorFile *f, const FileTensor *t, size_t from, size_t n, void *out);
/* Into a tensor of t->n elements; a packed one takes the bytes as they are, in its own storage (see file_storage). */
void file_read_tensor(const TensorFile *f, const FileTensor *t, Tensor *out);

#endif

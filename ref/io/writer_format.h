/* What stands behind writer.h: all that was put, and the formats that write it, chosen by the path's ending. */
#ifndef AVIARY_WRITER_FORMAT_H
#define AVIARY_WRITER_FORMAT_H

#include "../engine/arena.h"
#include "writer.h"

#include <stdio.h>

/* One tensor: of the program, in plain memory, or of another file. */
typedef struct {
  const char *name;
  FileType type; /* in the file that is written */
  int axes, shape[FILE_MAX_AXES];
  size_t n, size;       /* elements, bytes */
  const Tensor *tensor; /* or NULL */
  const void *memory;   /* or NULL */
  bool ints;            /* which is int, not of the type */
  const TensorFile *file;
  const FileTensor *entry;
} WriterPart;

typedef struct {
  const char *key, *text;
} WriterText;

typedef struct {
  bool (*write)(FileWriter *w, FILE *f);          /* false: errno says why */
  const char *(*problem)(const WriterPart *part); /* why it cannot have such a tensor; NULL: it has all */
} WriterFormat;

extern const WriterFormat writer_safetensors, writer_torch, writer_npz, writer_gguf;

/* Where something of a name stands in a list: an open hash table of 2^n places, at most half of them taken. */
typedef struct {
  const char *name;
  int at;
} WriterPlace;

typedef struct {
  WriterPlace *place;
  size_t room, count;
} WriterIndex;

struct FileWriter {
  const char *path;
  const WriterFormat *format;
  Arena arena; /* of all that follows, and of what the format needs */
  WriterPart *parts;
  WriterText *texts;
  int count, room, text_count, text_room;
  WriterIndex names, keys;
  void (*watch)(void *watching, size_t bytes);
  void *watching;
  size_t done; /* bytes of tensors that are written */
};

/* Where bytes go, piece by piece; false: errno says why they do not. */
typedef bool WriterSink(void *to, const void *bytes, size_t n);
bool writer_to_file(void *file, const void *bytes, size_t n); /* to a FILE */

bool writer_part(FileWriter *w, const WriterPart *p, WriterSink *sink, void *to); /* its bytes, little-endian */
bool writer_print(WriterSink *sink, void *to, const char *format, ...) __attribute__((format(printf, 3, 4)));
bool writer_json_text(WriterSink *sink, void *to, const char *text);     /* in quotes */
bool writer_json_texts(const FileWriter *w, WriterSink *sink, void *to); /* the metadata as an object */

#endif

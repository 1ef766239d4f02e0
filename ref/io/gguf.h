/* GGUF, the format of ggml and llama.cpp: a header of values under keys, a list of tensors, their numbers.
   Little-endian; texts are a length of 8 bytes and their bytes. */
#ifndef AVIARY_GGUF_H
#define AVIARY_GGUF_H

enum { GGUF_ALIGNMENT = 32, GGUF_MAX_AXES = 4, GGUF_MAX_NAME = 63 };

/* What a value of the header can be, by its number in the file. */
typedef enum {
  GGUF_U8,
  GGUF_I8,
  GGUF_U16,
  GGUF_I16,
  GGUF_U32,
  GGUF_I32,
  GGUF_F32,
  GGUF_BOOL,
  GGUF_TEXT,
  GGUF_LIST,
  GGUF_U64,
  GGUF_I64,
  GGUF_F64,
  GGUF_VALUES
} GgufValue;

#endif

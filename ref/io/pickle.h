/* A pickle of Python's as data. Nothing in it is executed: what Python would call stands there as a call, with its
   arguments, for whoever reads it to make sense of. Protocols 2 to 5, as far as tensors and plain values need them.
   n bytes take O(n) time and memory; values may contain each other, and themselves. */
#ifndef AVIARY_PICKLE_H
#define AVIARY_PICKLE_H

#include "format.h"

typedef enum {
  PICKLE_OTHER, /* None, a float, bytes, a set, an integer of more than 64 bits: nothing that tensors are made of */
  PICKLE_INT,   /* also True and False */
  PICKLE_TEXT,
  PICKLE_TUPLE,
  PICKLE_LIST,
  PICKLE_DICT,
  PICKLE_GLOBAL,
  PICKLE_CALL,
  PICKLE_STORED, /* what stands outside of the pickle */
} PickleKind;

typedef struct PickleValue PickleValue;
struct PickleValue {
  PickleKind kind;
  int64_t whole;             /* INT */
  const char *text;          /* TEXT, no 0 at its end; GLOBAL: "module.name" */
  size_t length;             /* of the text */
  const PickleValue **items; /* TUPLE, LIST; DICT: keys and values in turn; CALL: what was put into its result so */
  size_t count, room;
  const PickleValue *what,
      *with; /* CALL: the global, and the tuple of arguments; STORED: `what` tells it from others */
};

/* The value of the pickle in these bytes, which must stay. `check` fails for globals that are not expected. */
const PickleValue *pickle_read(TensorFile *f, const unsigned char *bytes, size_t size,
                               void (*check)(const char *global));

bool pickle_is_text(const PickleValue *v, const char *text);

#endif

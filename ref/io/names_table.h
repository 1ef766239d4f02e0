/* A family of names as a table: which tensor of theirs an official one is, or is a part of. */
#ifndef AVIARY_NAMES_TABLE_H
#define AVIARY_NAMES_TABLE_H

#include "tensor_file.h"

typedef enum {
  AS_IS,
  FLAT,       /* [n] for [..] of n numbers */
  TRANSPOSED, /* the last two axes: [out,in] for [in,out] */
  ROW,        /* row `row` of theirs, [rows,C] */
  SHEET,      /* the same of [rows,1,1,C] */
  MIX_W1,     /* v6: [5 D, C], blocks of r w k v g, for [C, 5 D], blocks of w k v r g */
  MIX_W2,     /* v6: [C, 5 D] for [5, D, C], in the same orders */
} NameChange;

typedef struct {
  const char *official, *theirs; /* in a block: what follows its number */
  NameChange change;
  int row;
} NameRule;

typedef struct {
  const char *family;
  const char *sign;                /* their name of the embedding, which every file has */
  const char *block;               /* what stands before the number of a block: "model.layers." */
  const NameRule *global, *blocks; /* each ends with {NULL} */
  const char *mark;                /* in a block, how a name begins that only this version of the family has */
  const char *version;             /* of models that have such names; NULL: several */
  const char *filled;              /* what stands before 0, 1, 2 in the names of a value residual, if block 0 has one,
                                      too, of the shapes of its learning rate; NULL: it has none */
} NameTable;

extern const NameTable names_fla_v7, names_fla_v6, names_transformers, names_llama_v7, names_llama_v6;

/* The name without the first of what trainers and wrappers of a module put in front; NULL: nothing stands there. */
const char *names_unwrapped(const char *name);
/* What follows the number of a block, NULL if the name is of no block; `block` is its number as text. */
const char *names_in_block(const char *name, const char *before, char block[12]);
bool names_are_theirs(const NameRule *rule, const char *name);
/* Gives tensor i of the file, which is theirs called `name`, its official name behind `before`, and its official shape;
   a tensor that is several official ones becomes as many. Returns whether the table has it. */
bool names_rename(TensorFile *f, const NameTable *table, int i, const char *name, const char *before);

/* llama.cpp's metadata for a model that has official names still. */
void names_llama_sizes(TensorFile *f, const NameTable *table);

FileTensor names_transposed(FileTensor t);
FileTensor names_row(FileTensor t, int row); /* without the first axis */
/* [5 D, C] in a copy whose block i is the block order[i] of t. */
FileTensor names_reordered(TensorFile *f, FileTensor t, const int order[5]);

#endif

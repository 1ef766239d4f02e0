/* A family of names as a table: which tensor of theirs an official one is, or is a part of. */
#ifndef AVIARY_NAMES_TABLE_H
#define AVIARY_NAMES_TABLE_H

typedef enum {
  AS_IS,
  FLAT,       /* [C] for [1,1,C] */
  TRANSPOSED, /* [out,in] for [in,out] */
  ROW,        /* row `row` of theirs */
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
} NameTable;

extern const NameTable names_fla_v7, names_fla_v6, names_transformers;

#endif

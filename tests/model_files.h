/* Models in files, whole or with a fault. Needs files_setup. */
#ifndef AVIARY_TEST_MODEL_FILES_H
#define AVIARY_TEST_MODEL_FILES_H

#include "models.h"

/* What is other than model_write has it. */
typedef struct {
  const char *drop;        /* parameter left out */
  const char *rename, *as; /* parameter under another name */
  const char *reshape;     /* parameter with a shape of its own: */
  int axes, shape[MAX_AXES];
  const char *extra[4]; /* tensors [3] that do not belong */
  bool flat, deep;      /* without axes of size 1 in front; vectors with two of them */
  bool meta;
} ModelEdit;

extern const real few[64]; /* numbers for tensors of no importance */

void put_edited(FileWriter *w, const Param *p, const ModelEdit *e);
const char *write_edited(const Model *m, const ModelEdit *e); /* the file's path */

/* The message has all three texts, and names the file. */
void load_fails(const char *path, const char *a, const char *b, const char *c);

/* To the bit: the logits, and the states after. */
void must_give_same_logits(Model *a, Model *b);
/* And version, sizes and parameters, in their order. b is to be trained. */
void must_be_same_models(Model *a, Model *b);

#endif

/* Small models with nothing special about them, for tests that loop over all versions. */
#ifndef AVIARY_TEST_MODELS_H
#define AVIARY_TEST_MODELS_H

#include "model/model.h"

#define FOR_VERSIONS(v) for (const Version *const *v##_ = version_list(), *v; (v = *v##_) != NULL; v##_++)

/* Whether the version has this size, which is to say a default for it: version_uses(v, offsetof(Dims, N)). */
bool version_uses(const Version *v, size_t size);

enum { SMALL_SIZES = 4, SMALL_LENGTH = 24 };
/* Sizes that fit the version: odd, different from each other, variants with 3, 2, 1 and 2 layers, for
   sequences of at most SMALL_LENGTH; the last one with the options that the version has. */
Dims small_dims(const Version *v, int variant);

/* The official initial values hold zero matrices, through which no error would show. So every number is
   moved by a random amount. */
Model *random_model(const Version *v, const Dims *d, uint64_t seed);
Model *small_model(const Version *v, int variant);

/* n tokens below V, among them 0 and V-1; for free(). */
int *random_tokens(uint64_t seed, int n, int V);

real *numbers_of(const Tensor *t); /* for free() */
void zero_model_grads(Model *m);
/* All gradients one after the other, as doubles; for free(). */
double *model_grads(const Model *m, size_t *n);

/* Bit for bit: values of both states, as the next run would read them. */
bool same_states(const State *a, const State *b);
/* Logits [B,T,V] on a tape of their own, the state left as after; for free(). */
real *logits_of(Model *m, const int *tokens, int B, int T, State *st);

/* model_load of a file, for rwkv_protect: it may fail. */
typedef struct {
  const char *path;
  TensorFile *file;
  Model *model;
} ModelLoading;
void load_model_file(void *loading);

#endif

/* Picks the next token from logits, as the official sampler does (sample_logits and generate of PIPELINE in the pip
   package rwkv, its CPU path).

     l_i -= presence + frequency count_i          for every id i seen; count_i decays with every token seen
     p = softmax(l)
     p_i = 0  where p_i < the first of the sorted p at which their sum reaches top_p; where p_i < the top_k-th largest
     p_i = p_i^(1/temperature), divided by their sum

   Equal ones at a limit stay together. A temperature of 0 leaves the largest, as top_p = 0 does. Two things differ: the
   official sum of float32 numbers may never reach a top_p near 1, and then leaves the largest alone; here all stay. And
   of equal ones at top_k the official code keeps as many as there is room for, whichever its sort puts first. */
#ifndef AVIARY_SAMPLER_H
#define AVIARY_SAMPLER_H

#include "engine/num.h"
#include "engine/rng.h"

#include <stdbool.h>

typedef struct {
  double temperature;         /* 0 and above */
  double top_p;               /* 0 .. 1 */
  int top_k;                  /* 0: no limit */
  double presence, frequency; /* 0 and above, in units of logits */
  double decay;               /* 0 .. 1: of the counts, a token */
} SamplerConfig;

extern const SamplerConfig sampler_defaults; /* those of the official code */

typedef struct {
  int id;
  double count;
} SeenToken;

typedef struct {
  SamplerConfig cfg;
  Rng rng;
  SeenToken *seen;
  int seen_count, seen_room;
  int n; /* how many logits there is room for */
  float *logit;
  uint64_t *weight;
} Sampler;

/* Fails on a value out of its range. The same seed and stream give the same draws everywhere. */
Sampler *sampler_new(const SamplerConfig *cfg, uint64_t seed, uint64_t stream);
void sampler_free(Sampler *s);
/* An id 0 .. n-1. Fails on NaN, on +infinity, and if all are -infinity, which is an id that shall not be picked. */
int sampler_pick(Sampler *s, const real *logits, int n);
/* The token comes into the text. weight: of its frequency; official code has 0 for digits, spaces and tabs, else 1. */
void sampler_saw(Sampler *s, int id, double weight);
void sampler_remember(Sampler *s, int id, double count); /* the count of an id, as it stood in `seen` */

#endif

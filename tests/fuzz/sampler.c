/* The sampler: any options, any logits, any tokens seen. What it picks could be picked; whatever it refuses, it says why. */
#include "fuzz.h"

#include "engine/err.h"
#include "text/sampler.h"

#include <math.h>
#include <string.h>

enum { MOST = 300 };

typedef struct {
  SamplerConfig cfg;
  real logits[MOST];
  int n, seen;
  double weight;
  Sampler *s;
} Input;

static void take(const uint8_t **at, size_t *left, void *out, size_t size)
{
  size_t n = *left < size ? *left : size;
  memcpy(out, *at, n);
  *at += n, *left -= n;
}

static void run(void *arg)
{
  Input *in = arg;
  in->s = sampler_new(&in->cfg, 1, 0);
  for (int i = 0; i < 3; i++) {
    int id = sampler_pick(in->s, in->logits, in->n);
    fuzz_need(id >= 0 && id < in->n, "an id out of range");
    fuzz_need(in->s->weight[id] > 0, "an id without weight");
    fuzz_need(in->logits[id] > -(real)INFINITY, "an id that shall not come");
    for (int j = 0; in->cfg.temperature == 0 && in->s->seen_count == 0 && j < in->n; j++)
      fuzz_need((float)in->logits[j] <= (float)in->logits[id], "not the largest");
    sampler_saw(in->s, i == 1 ? in->seen : id, in->weight);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
  Input in = {0};
  take(&bytes, &size, &in.cfg, sizeof in.cfg);
  take(&bytes, &size, &in.seen, sizeof in.seen);
  take(&bytes, &size, &in.weight, sizeof in.weight);
  in.n = (int)(size / sizeof(real) < MOST ? size / sizeof(real) : MOST);
  take(&bytes, &size, in.logits, (size_t)in.n * sizeof(real));
  size_t used = memory_used();
  rwkv_protect(run, &in);
  sampler_free(in.s);
  fuzz_need(memory_used() == used, "memory is not given back");
  return 0;
}

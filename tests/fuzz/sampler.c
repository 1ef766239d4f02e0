/* Options, what was seen, and logits of any bits. The chances are those of the definition, by a sort. */
#include "fuzz.h"

#include "engine/err.h"
#include "text/sampler.h"

#include <math.h>
#include <string.h>

enum { MOST = 256 };

typedef struct {
  const uint8_t *at, *end;
} Bytes;

/* The next bytes as they are; zeros where there are none. */
static void take(Bytes *b, void *out, size_t size)
{
  size_t n = (size_t)(b->end - b->at) < size ? (size_t)(b->end - b->at) : size;
  memset(out, 0, size);
  memcpy(out, b->at, n);
  b->at += n;
}

typedef struct {
  SamplerConfig cfg;
  Sampler *s;
  int id, seen[8], n;
  double weight[8];
  real logits[MOST];
} Call;

static void make(void *arg) { ((Call *)arg)->s = sampler_new(&((Call *)arg)->cfg, 1, 0); }
static void pick(void *arg)
{
  ((Call *)arg)->id = sampler_pick(((Call *)arg)->s, ((Call *)arg)->logits, ((Call *)arg)->n);
}

static void see(void *arg)
{
  Call *c = arg;
  sampler_saw(c->s, c->seen[c->n], c->weight[c->n]);
}

static bool in(double x, double high) { return x >= 0 && x <= high && x <= 1.7976931348623157e308; }

static bool good_options(const SamplerConfig *c)
{
  return in(c->temperature, INFINITY) && in(c->top_p, 1) && c->top_k >= 0 && in(c->presence, INFINITY) &&
         in(c->frequency, INFINITY) && in(c->decay, 1);
}

/* ---- what the pick has to be ---- */

/* The logits less the penalties; false: the sampler must refuse them. */
static bool penalised(const Call *c, int seen, float *out)
{
  bool any = false;
  for (int i = 0; i < c->n; i++) {
    double count = 0;
    bool there = false;
    for (int k = 0; k < seen; k++) {
      count *= c->cfg.decay;
      if (c->seen[k] == i) count += c->weight[k], there = true;
    }
    out[i] = (float)c->logits[i];
    if (!(out[i] < INFINITY)) return false;
    if (there) out[i] -= (float)(c->cfg.presence + count * c->cfg.frequency);
    any |= out[i] > -INFINITY;
  }
  return any;
}

static int descending(const void *a, const void *b)
{
  float x = *(const float *)a, y = *(const float *)b;
  return (x < y) - (x > y);
}

/* The least logit that may be picked; `slack` is added to top_p. */
static float least_of(const SamplerConfig *c, const float *logit, int n, double slack)
{
  float sorted[MOST];
  double sum = 0, so_far = 0;
  memcpy(sorted, logit, (size_t)n * sizeof *sorted);
  qsort(sorted, (size_t)n, sizeof *sorted, descending);
  if (c->temperature == 0 || c->top_p == 0) return sorted[0];
  for (int i = 0; i < n; i++) sum += exp((double)sorted[i] - (double)sorted[0]);
  int i = 0;
  while (i < n - 1 && (so_far += exp((double)sorted[i] - (double)sorted[0])) < (c->top_p + slack) * sum) i++;
  int k = c->top_k > 0 && c->top_k < n ? c->top_k - 1 : n - 1;
  return c->top_p < 1 && sorted[i] > sorted[k] ? sorted[i] : sorted[k];
}

/* The chances are those of the definition, to 1e-6, and 0 beyond the limits; where the sum of probabilities comes
   within 1e-9 of top_p, either side is right. */
static void check_chances(const Call *c, const float *logit)
{
  float low = least_of(&c->cfg, logit, c->n, 1e-9), high = least_of(&c->cfg, logit, c->n, -1e-9), max = -INFINITY;
  double temperature = c->cfg.temperature == 0 ? 1 : c->cfg.temperature, one = 0;
  for (int i = 0; i < c->n; i++) max = logit[i] > max ? logit[i] : max;
  for (int i = 0; i < c->n; i++) one = (double)c->s->weight[i] > one ? (double)c->s->weight[i] : one;
  for (int i = 0; i < c->n; i++) {
    double expected = exp(((double)logit[i] - (double)max) / temperature), found = (double)c->s->weight[i] / one;
    if (logit[i] < low) fuzz_need(found == 0, "a chance beyond top_p or top_k");
    else if (logit[i] >= high) fuzz_need(fabs(found - expected) <= 1e-6 * expected + 1e-12, "another chance");
  }
}

static void check_pick(Call *c, int seen)
{
  float logit[MOST];
  bool allowed = penalised(c, seen, logit), picked = !rwkv_protect(pick, c);
  fuzz_need(allowed == picked, "logits are taken that must be refused, or refused");
  if (!picked) return;
  fuzz_need(c->id >= 0 && c->id < c->n, "an id that is not there");
  fuzz_need(logit[c->id] > -INFINITY && c->s->weight[c->id] > 0, "an id that is ruled out");
  check_chances(c, logit);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
  static Call c;
  Bytes b = {bytes, bytes + size};
  uint8_t small, count, length;
  int seen = 0;
  memset(&c, 0, sizeof c);
  take(&b, &c.cfg.temperature, 8), take(&b, &c.cfg.top_p, 8), take(&b, &c.cfg.presence, 8);
  take(&b, &c.cfg.frequency, 8), take(&b, &c.cfg.decay, 8), take(&b, &c.cfg.top_k, 4);
  fuzz_need(good_options(&c.cfg) == !rwkv_protect(make, &c), "options are taken that must be refused, or refused");
  if (!c.s) return 0;
  take(&b, &count, 1);
  for (int i = 0; i < count % 8; i++) {
    take(&b, &small, 1), take(&b, &c.weight[seen], 8);
    c.n = seen, c.seen[seen] = small;
    bool good = in(c.weight[seen], 1e9);
    fuzz_need(good == !rwkv_protect(see, &c), "a weight is taken that must be refused, or refused");
    seen += good;
  }
  take(&b, &length, 1);
  c.n = 1 + length;
  for (int i = 0; i < c.n; i++) take(&b, &c.logits[i], sizeof *c.logits);
  check_pick(&c, seen);
  sampler_free(c.s);
  fuzz_need(memory_used() == 0, "memory that is not given back");
  return 0;
}

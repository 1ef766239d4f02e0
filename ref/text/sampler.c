#include "sampler.h"

#include "engine/elementary.h"
#include "engine/err.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 1024 };                     /* of a factor of 2 in the table of powers */
enum { DIGIT = 11, BUCKETS = 1 << DIGIT }; /* bits of a key that one pass sorts by */
static const double log2_e = 0x1.71547652b82fep+0, ln_2 = 0x1.62e42fefa39efp-1;

const SamplerConfig sampler_defaults = {
    .temperature = 1, .top_p = 0.85, .presence = 0.2, .frequency = 0.2, .decay = 0.996};

/* ---- made and freed ---- */

static void check(const char *name, double x, double high, const char *range)
{
  if (!(x >= 0 && x <= high)) rwkv_fail("%s: expected a number %s, found %g", name, range, x);
}

Sampler *sampler_new(const SamplerConfig *cfg, uint64_t seed, uint64_t stream)
{
  static const double most = 1.7976931348623157e308;
  check("temperature", cfg->temperature, most, "from 0");
  check("top_p", cfg->top_p, 1, "from 0 to 1");
  check("top_k", cfg->top_k, most, "from 0");
  check("presence", cfg->presence, most, "from 0");
  check("frequency", cfg->frequency, most, "from 0");
  check("decay", cfg->decay, 1, "from 0 to 1");
  Sampler *s = rwkv_alloc(1, sizeof *s, "a sampler");
  s->cfg = *cfg;
  s->rng = rng_new(seed, stream);
  return s;
}

void sampler_free(Sampler *s)
{
  if (!s) return;
  rwkv_release(s->seen);
  rwkv_release(s->logit);
  rwkv_release(s->weight);
  rwkv_release(s);
}

/* ---- what was seen ---- */

static SeenToken *entry_of(Sampler *s, int id)
{
  for (int i = 0; i < s->seen_count; i++)
    if (s->seen[i].id == id) return &s->seen[i];
  if (s->seen_count == s->seen_room) {
    int room = 2 * s->seen_room + 64;
    SeenToken *more = rwkv_alloc((size_t)room, sizeof *more, "the tokens that a sampler has seen");
    if (s->seen) memcpy(more, s->seen, (size_t)s->seen_count * sizeof *more);
    rwkv_release(s->seen);
    s->seen = more, s->seen_room = room;
  }
  s->seen[s->seen_count] = (SeenToken){id, 0};
  return &s->seen[s->seen_count++];
}

void sampler_saw(Sampler *s, int id, double weight)
{
  if (id < 0) rwkv_fail("saw: expected an id from 0, found %d", id);
  if (!(weight >= 0 && weight <= 1e9)) rwkv_fail("saw: expected a weight from 0 to 1e9, found %g", weight);
  for (int i = 0; i < s->seen_count; i++) s->seen[i].count *= s->cfg.decay;
  entry_of(s, id)->count += weight;
}

void sampler_remember(Sampler *s, int id, double count) { entry_of(s, id)->count = count; }

/* ---- the logits, as the sampler works with them ---- */

static void make_room(Sampler *s, int n)
{
  if (s->n >= n) return;
  rwkv_release(s->logit);
  rwkv_release(s->weight);
  s->n = 0, s->logit = NULL, s->weight = NULL;
  s->logit = rwkv_alloc((size_t)n, sizeof *s->logit, "logits");
  s->weight = rwkv_alloc((size_t)n, sizeof *s->weight, "the weights of logits");
  s->n = n;
}

/* In float32, as official code has them, less the penalties. Returns the largest. */
static float read_logits(Sampler *s, const real *logits, int n)
{
  float max = -INFINITY;
  for (int i = 0; i < n; i++) {
    s->logit[i] = (float)logits[i];
    if (!(s->logit[i] < INFINITY))
      rwkv_fail("pick: the logit of id %d is %g, expected a number", i, (double)s->logit[i]);
  }
  for (const SeenToken *seen = s->seen; seen && seen < s->seen + s->seen_count; seen++)
    if (seen->id < n) s->logit[seen->id] -= (float)(s->cfg.presence + seen->count * s->cfg.frequency);
  for (int i = 0; i < n; i++) max = s->logit[i] > max ? s->logit[i] : max;
  if (max == -INFINITY) rwkv_fail("pick: all %d logits are -inf", n);
  return max;
}

static double power[STEPS]; /* 2^(-i/STEPS), once it is there */

static void make_powers(void)
{
  if (power[0] == 1) return;
  for (int i = STEPS; i-- > 0;) power[i] = m_exp(-ln_2 * i / STEPS);
}

/* weight[i] = e^((l_i - max) / temperature) as a whole number, the largest being `one`: sums of whole numbers are the
   same in whatever order they are made. Good to 2^-36 of itself: e^x = 2^-whole 2^(-step/STEPS) e^r, where |r| < 7e-4.
   Returns the sum of those whose logit is at least `least`; the others get 0. */
static uint64_t weigh(Sampler *s, int n, float max, double temperature, float least)
{
  int bits = 62; /* of `one`: the sum of all has to stay below 2^63 */
  while (bits > 0 && (uint64_t)n > (uint64_t)1 << (62 - bits)) bits--;
  double scale = ldexp(1, bits), steps_a_unit = fmin(STEPS * log2_e / temperature, 1e300);
  double nothing = (bits + 1) * STEPS;
  uint64_t sum = 0;
  for (int i = 0; i < n; i++) {
    double x = ((double)max - (double)s->logit[i]) * steps_a_unit; /* in steps, 0 and above */
    if (s->logit[i] < least || x >= nothing) {
      s->weight[i] = 0;
      continue;
    }
    uint32_t step = (uint32_t)x;
    double r = ((double)step - x) * (ln_2 / STEPS);
    double y = power[step % STEPS] * (1 + r * (1 + r * (0.5 + r * (1.0 / 6))));
    sum += s->weight[i] = (uint64_t)(int64_t)(y * scale) >> step / STEPS;
  }
  return sum;
}

/* ---- limits ---- */

/* Bits in the order of the numbers. */
static uint32_t key_of(float x)
{
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits >> 31 ? ~bits : bits | (uint32_t)1 << 31;
}

static float number_of(uint32_t key)
{
  uint32_t bits = key >> 31 ? key & ~((uint32_t)1 << 31) : ~key;
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* The first of the logits, from the largest on, at which the sum of their weights (with weight NULL: their number)
   reaches `enough`, which all together do. It finds the digits of the answer's key one after the other: a digit is that
   of the bucket in which the sum gets there. */
static float limit(const float *logit, const uint64_t *weight, int n, double enough)
{
  static const int shifts[] = {32 - DIGIT, 32 - 2 * DIGIT, 0};
  uint64_t above = 0; /* of those that are larger than all that are still in question */
  uint32_t known = 0, mask = 0;
  for (int pass = 0; pass < 3; pass++) {
    uint64_t sum[BUCKETS] = {0};
    bool there[BUCKETS] = {0};
    for (int i = 0; i < n; i++) {
      uint32_t key = key_of(logit[i]), bucket = key >> shifts[pass] & (BUCKETS - 1);
      if ((key & mask) != known) continue;
      sum[bucket] += weight ? weight[i] : 1;
      there[bucket] = true;
    }
    uint32_t digit = 0;
    uint64_t up_to = above;
    for (int b = BUCKETS - 1; b >= 0 && (double)up_to < enough; b--)
      if (there[b]) digit = (uint32_t)b, above = up_to, up_to += sum[b];
    known |= digit << shifts[pass];
    mask |= (uint32_t)(BUCKETS - 1) << shifts[pass];
  }
  return number_of(known);
}

/* ---- the pick ---- */

static int count_from(const float *logit, int n, float least)
{
  int count = 0;
  for (int i = 0; i < n; i++) count += logit[i] >= least;
  return count;
}

int sampler_pick(Sampler *s, const real *logits, int n)
{
  if (n < 1) rwkv_fail("pick: there are no logits");
  make_room(s, n);
  make_powers();
  bool greedy = s->cfg.temperature == 0;
  double temperature = greedy ? 1 : s->cfg.temperature, top_p = greedy ? 0 : s->cfg.top_p;
  float max = read_logits(s, logits, n), least = -INFINITY;
  uint64_t sum = 0;
  if (top_p == 0) least = max;
  else if (top_p < 1) {
    sum = weigh(s, n, max, 1, least);
    least = limit(s->logit, s->weight, n, top_p * (double)sum);
  }
  if (s->cfg.top_k > 0 && s->cfg.top_k < count_from(s->logit, n, least)) least = limit(s->logit, NULL, n, s->cfg.top_k);
  sum = weigh(s, n, max, temperature, least);
  uint64_t at = rng_below(&s->rng, sum);
  int id = 0;
  while (at >= s->weight[id]) at -= s->weight[id++];
  return id;
}

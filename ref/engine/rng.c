#include "rng.h"
#include "elementary.h"

#include <math.h>

void rng_philox4x32(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2])
{
  uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
  uint32_t k0 = key[0], k1 = key[1];
  for (int round = 0; round < 10; round++) {
    uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
    uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c0 = n0, c1 = (uint32_t)p1, c2 = n2, c3 = (uint32_t)p0;
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
  out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

Rng rng_new(uint64_t seed, uint64_t stream) { return (Rng){seed, stream, 0}; }

Rng rng_named(uint64_t seed, const char *name)
{
  uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
  for (; *name; name++) hash = (hash ^ (unsigned char)*name) * 0x100000001b3u;
  return rng_new(seed, hash);
}

/* One Philox block gives two 64-bit words. */
static void words(const Rng *r, uint64_t word[2])
{
  uint64_t block = r->count / 2;
  uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)r->stream, (uint32_t)(r->stream >> 32)};
  uint32_t key[2] = {(uint32_t)r->seed, (uint32_t)(r->seed >> 32)}, out[4];
  rng_philox4x32(out, counter, key);
  for (int i = 0; i < 2; i++) word[i] = (uint64_t)out[2 * i] | (uint64_t)out[2 * i + 1] << 32;
}

uint64_t rng_bits(Rng *r)
{
  uint64_t word[2];
  words(r, word);
  return word[r->count++ % 2];
}

static double uniform_of(uint64_t bits) { return (double)(bits >> 11) * 0x1p-53; }

double rng_uniform(Rng *r) { return uniform_of(rng_bits(r)); }

double rng_normal(Rng *r) /* Box-Muller; the second value is thrown away, which keeps draws countable */
{
  uint64_t word[2];
  if (r->count % 2) word[0] = rng_bits(r), word[1] = rng_bits(r);
  else words(r, word), r->count += 2;
  return sqrt(-2.0 * m_log(1.0 - uniform_of(word[0]))) * m_cos_turn(uniform_of(word[1]));
}

void rng_normals(Rng *r, double *out, size_t n)
{
  size_t i = 0;
  for (; i + LANES <= n && r->count % 2 == 0; i += LANES) {
    double u[LANES], turns[LANES];
    for (int l = 0; l < LANES; l++, r->count += 2) {
      uint64_t word[2];
      words(r, word);
      u[l] = 1.0 - uniform_of(word[0]), turns[l] = uniform_of(word[1]);
    }
    m_log_lanes(u, u);
    m_cos_turn_lanes(turns, turns);
    for (int l = 0; l < LANES; l++) out[i + (size_t)l] = sqrt(-2.0 * u[l]) * turns[l];
  }
  for (; i < n; i++) out[i] = rng_normal(r);
}

uint64_t rng_below(Rng *r, uint64_t n)
{
  uint64_t limit = UINT64_MAX - UINT64_MAX % n, x;
  do x = rng_bits(r);
  while (x >= limit);
  return x % n;
}

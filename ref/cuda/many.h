/* Ops that come one after the other, as the optimiser has one for each parameter, are put off and run in one launch. */
#ifndef AVIARY_CUDA_MANY_H
#define AVIARY_CUDA_MANY_H

#include "device.h"

enum { MANY_BYTES = 3800, MANY_NUMBERS = 32 * BLOCK }; /* a kernel takes 4096; of a block */

/* `Part` is a struct of numbers 0 .. n-1 that share nothing with those of other parts. */
template <class Part> struct Many {
  enum { MOST = MANY_BYTES / (sizeof(Part) + sizeof(unsigned)) };
  Part part[MOST];
  unsigned first[MOST + 1]; /* block of each part; how many there are */
  int count;
};

template <class Part> static void many_add(Many<Part> *m, Part part)
{
  if (!part.n) return;
  m->part[m->count++] = part;
  m->first[m->count] = m->first[m->count - 1] + (unsigned)pieces(part.n, MANY_NUMBERS);
}

template <class Part> static bool many_is_full(const Many<Part> *m) { return m->count == Many<Part>::MOST; }

/* How many blocks all have; they are taken: what is added from here on is the next launch's. */
template <class Part> static unsigned many_blocks(Many<Part> *m)
{
  unsigned blocks = m->first[m->count];
  m->count = 0;
  return blocks;
}

/* For each number of the block's part, from first to last, a thread each. */
#define MANY_EACH(i, m, k)                                                                           \
  for (size_t i = (blockIdx.x - (m).first[k]) * (size_t)MANY_NUMBERS + threadIdx.x,                  \
              end_ = smaller((m).part[k].n, (blockIdx.x - (m).first[k] + 1) * (size_t)MANY_NUMBERS); \
       i < end_; i += BLOCK)

template <class Part> DEVICE int many_part(const Many<Part> &m)
{
  int k = 0;
  while (m.first[k + 1] <= blockIdx.x) k++;
  return k;
}

#endif

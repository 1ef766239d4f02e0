/* Zeros. */
#include "many.h"
#include "open.h"

typedef struct {
  real *x;
  size_t n;
} Zeros;
static Many<Zeros> zeros;

KERNEL clear(const __grid_constant__ Many<Zeros> m)
{
  int k = many_part(m);
  MANY_EACH(i, m, k) m.part[k].x[i] = 0;
}

static void run_clear_of_all(void)
{
  unsigned blocks = many_blocks(&zeros);
  if (blocks) LAUNCH(clear, blocks, BLOCK, 0, zeros);
}

void c_clear(const Clear *op)
{
  device_later(run_clear_of_all);
  many_add(&zeros, Zeros{op->x, op->n});
  if (many_is_full(&zeros)) device_now();
}

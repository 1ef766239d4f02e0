/* The way back of a look-up: rows of g with the same index are added to one row of the table's gradient. The host sorts
   their positions by index, and cuts them into runs of at most RUN, so that a token that is everywhere keeps no single
   block busy. */
#include "device.h"

#include <stdlib.h>

enum { RUN = 128, LANES = 32, PARTS = 8 }; /* columns of a block, and parts of a run */

typedef struct {
  int from, to; /* of a list of rows of g */
  int row;      /* of the gradient, to which their sum is added; */
  int part;     /* or, if this is not -1, the row of `part` that it is written to */
} Run;

typedef struct {
  int *order;      /* positions, sorted by index; */
  Run *run, *join; /* runs of them, and for each row of several runs the parts that these made */
  size_t runs, joins, parts;
} Sorted;

/* A block has LANES columns of a run, a thread every PARTS-th row of one of them. list: order, or NULL if the rows of g
   are taken as they stand. */
KERNEL add_runs(real *gtable, real *part, const real *g, const int *list, const Run *runs, size_t C)
{
  SHARED(real, sums, [PARTS][LANES]);
  Run run = runs[blockIdx.x];
  size_t c = blockIdx.y * (size_t)LANES + threadIdx.x;
  real sum = 0;
  if (c < C)
    for (int k = run.from + (int)threadIdx.y; k < run.to; k += PARTS) sum += g[(size_t)(list ? list[k] : k) * C + c];
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y || c >= C) return;
  for (int y = 1; y < PARTS; y++) sum += sums[y][threadIdx.x];
  if (run.part < 0) gtable[(size_t)run.row * C + c] += sum;
  else part[(size_t)run.part * C + c] = sum;
}

/* end[r] is where the positions of row r end in `order`; those of equal index keep their order. */
static void sort(int *order, int *end, const Rows *f)
{
  for (size_t i = 0; i < f->count; i++) end[f->index[i]]++;
  int before = 0;
  for (size_t r = 0; r < f->rows; r++) {
    int count = end[r];
    end[r] = before;
    before += count;
  }
  for (size_t i = 0; i < f->count; i++) order[end[f->index[i]]++] = (int)i;
}

static void cut(Sorted *s, const int *end, size_t rows)
{
  int parts = 0;
  for (size_t r = 0; r < rows; r++) {
    int from = r ? end[r - 1] : 0, to = end[r], first = parts;
    if (from == to) continue;
    if (to - from <= RUN) {
      s->run[s->runs++] = Run{from, to, (int)r, -1};
      continue;
    }
    for (int k = from; k < to; k += RUN) s->run[s->runs++] = Run{k, k + RUN < to ? k + RUN : to, (int)r, parts++};
    s->join[s->joins++] = Run{first, parts, (int)r, -1};
  }
}

void c_rows_backward(const RowsBackward *op)
{
  const Rows *f = &op->forward;
  if (!f->count || !f->C) return;
  size_t most_joins = f->count / RUN, most_runs = smaller(f->count, f->rows) + most_joins;
  size_t bytes = (most_joins + most_runs) * sizeof(Run) + f->count * sizeof(int);
  int *end = (int *)calloc(f->rows, sizeof(int));
  Sorted s = {};
  s.join = (Run *)malloc(bytes);
  if (!end || !s.join) device_fail("there is no memory left to sort %zu indices", f->count);
  s.run = s.join + most_joins, s.order = (int *)(s.run + most_runs);
  sort(s.order, end, f);
  cut(&s, end, f->rows);
  const Run *join = (const Run *)device_copy(s.join, bytes), *run = join + most_joins;
  real *part = (real *)device_scratch(s.parts * f->C * sizeof(real));
  dim3 threads(LANES, PARTS);
  unsigned columns = (unsigned)pieces(f->C, LANES);
  LAUNCH(add_runs, dim3((unsigned)s.runs, columns), threads, 0, op->gtable, part, op->g, (const int *)(run + most_runs),
         run, f->C);
  if (s.joins) LAUNCH(add_runs, dim3((unsigned)s.joins, columns), threads, 0, op->gtable, NULL, part, NULL, join, f->C);
  free(end), free(s.join);
}

#include "places.h"

#include <omp.h>

bool places_set(int first, int count, cpu_set_t *set)
{
  int ids[CPU_SETSIZE];
  CPU_ZERO(set);
  for (int p = first; p < first + count; p++) {
    int n = omp_get_place_num_procs(p);
    if (n > CPU_SETSIZE) return false;
    if (n > 0) omp_get_place_proc_ids(p, ids);
    for (int i = 0; i < n; i++)
      if (ids[i] < CPU_SETSIZE) CPU_SET(ids[i], set);
  }
  return CPU_COUNT(set) > 0;
}

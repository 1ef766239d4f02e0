#include "pool_checks.h"

#include <stdio.h>

int main(void)
{
#ifdef __clang__
  puts("SKIPPED: clang's OpenMP is not linked (Makefile)");
  return 0;
#else
  return check_pool("openmp");
#endif
}

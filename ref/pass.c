#include "pass.h"

#include "engine/err.h"

#include <stdio.h>
#include <string.h>

void trace_tensors(Pass *ps, const char *part, const char *names, Tensor **t, int count)
{
  const char *rest = names;
  int named = 0;
  for (size_t n; (n = strcspn(rest, " ")) > 0; rest += n + strspn(rest + n, " "), named++) {
    char name[80];
    snprintf(name, sizeof name, "blocks.%d.%s.%.*s", ps->layer, part, (int)n, rest);
    if (named < count && t[named]) ps->trace->see(ps->trace, name, t[named]);
  }
  if (named != count) rwkv_fail("trace of %s: %d tensors for the %d names \"%s\"", part, count, named, names);
}

#include "pass.h"

#include <stdio.h>
#include <string.h>

void trace_tensors(Pass *ps, const char *part, const char *names, Tensor **t)
{
  for (int i = 0; *names; i++) {
    size_t n = strcspn(names, ",");
    char name[80];
    snprintf(name, sizeof name, "blocks.%d.%s.%.*s", ps->layer, part, (int)n, names);
    if (t[i]) ps->trace->see(ps->trace, name, t[i]);
    names += n + strspn(names + n, ", ");
  }
}

#include "golden_lines.h"

#include <string.h>

int verify_against(Model *m, const char *path, double tol, GoldenLine *lines)
{
  StFile *f = st_open(path);
  int count = golden_verify(m, f, tol, lines);
  st_close(f);
  return count;
}

const GoldenLine *line_of(const GoldenLine *lines, int count, const char *kind)
{
  for (int i = 0; i < count; i++)
    if (strcmp(lines[i].kind, kind) == 0) return &lines[i];
  return NULL;
}

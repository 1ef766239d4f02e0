#include "golden_lines.h"

#include <string.h>

int verify_against(Model *m, const char *path, double tol, GoldenLine *lines)
{
  TensorFile *f = file_open(path);
  int count = golden_verify(m, f, tol, lines);
  file_close(f);
  return count;
}

const GoldenLine *line_of(const GoldenLine *lines, int count, const char *kind)
{
  for (int i = 0; i < count; i++)
    if (strcmp(lines[i].kind, kind) == 0) return &lines[i];
  return NULL;
}

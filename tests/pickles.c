#include "pickles.h"

#include "files.h"
#include "zip_bytes.h"

#include <stdio.h>
#include <string.h>

static const float six[6] = {1, 2, 3, 4, 5, 6};

const char *pickle_file(const char *pickle, size_t n, const char *directory, const char *more, const char *text)
{
  static ZipBytes z;
  char name[400];
  const char *path = files_path("x.pth");
  z = (ZipBytes){0};
  snprintf(name, sizeof name, "%sdata.pkl", directory);
  zip_bytes_add(&z, name, pickle, n);
  snprintf(name, sizeof name, "%sdata/0", directory);
  zip_bytes_add(&z, name, six, sizeof six);
  snprintf(name, sizeof name, "%s%s", directory, more);
  if (*more) zip_bytes_add(&z, name, text, strlen(text));
  zip_bytes_end(&z);
  files_write(path, z.bytes, z.size);
  return path;
}

#include "regular.h"

#include "../engine/err.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

FILE *regular_open(const char *path, size_t *size)
{
  struct stat s;
  int file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* or opening a pipe waits until somebody writes */
  if (file < 0) rwkv_fail("%s: %s", path, strerror(errno));
  bool known = fstat(file, &s) == 0;
  FILE *stream = known && S_ISREG(s.st_mode) ? fdopen(file, "rb") : NULL;
  if (stream) return *size = (size_t)s.st_size, stream;
  close(file);
  rwkv_fail("%s: %s", path, known && S_ISDIR(s.st_mode) ? "is a directory, expected a file" : "not a regular file");
}

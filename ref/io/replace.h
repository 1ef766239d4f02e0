/* How a file takes the place of another. */
#ifndef AVIARY_REPLACE_H
#define AVIARY_REPLACE_H

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

/* rename, but never over a device or a pipe: root could lose /dev/null. Returns 0, or -1 with errno set. */
static inline int replace_file(const char *from, const char *to)
{
  struct stat s;
  if (stat(to, &s) == 0 && !S_ISREG(s.st_mode)) return errno = EEXIST, -1;
  return rename(from, to);
}

#endif

#include "files.h"

#include <dirent.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[64];

static void need(bool ok, const char *what)
{
  if (ok) return;
  perror(what);
  exit(1);
}

int files_setup(void **state)
{
  static const char *const places[] = {"/dev/shm", "/tmp"}; /* memory first: thousands of files are written */
  (void)state;
  for (int i = 0; i < 2; i++) {
    snprintf(directory, sizeof directory, "%s/aviary-test-XXXXXX", places[i]);
    if (mkdtemp(directory)) return 0;
  }
  return -1;
}

static int clear(const char *path, const struct stat *s, int kind, struct FTW *at)
{
  (void)s, (void)kind;
  return at->level > 0 ? remove(path) : 0;
}

int files_clear(void **state)
{
  (void)state;
  return nftw(directory, clear, 20, FTW_DEPTH | FTW_PHYS);
}

int files_teardown(void **state)
{
  files_clear(state);
  return rmdir(directory);
}

const char *files_path(const char *name)
{
  static char buffers[8][400];
  static unsigned next;
  char *path = buffers[next++ % 8];
  snprintf(path, sizeof buffers[0], "%s/%s", directory, name);
  return path;
}

int files_count(void)
{
  int n = -2; /* . and .. */
  DIR *dir = opendir(directory);
  need(dir != NULL, directory);
  while (readdir(dir)) n++;
  closedir(dir);
  return n;
}

void files_write(const char *path, const void *bytes, size_t n)
{
  FILE *f = fopen(path, "wb");
  need(f != NULL, path);
  need(n == 0 || fwrite(bytes, 1, n, f) == n, path);
  need(fclose(f) == 0, path);
}

void files_write_st(const char *path, const char *header, const void *data, size_t n)
{
  size_t length = strlen(header);
  unsigned char *bytes = malloc(8 + length + n);
  need(bytes != NULL, "malloc");
  for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)((uint64_t)length >> 8 * i);
  memcpy(bytes + 8, header, length);
  if (n) memcpy(bytes + 8 + length, data, n);
  files_write(path, bytes, 8 + length + n);
  free(bytes);
}

unsigned char *files_read(const char *path, size_t *n)
{
  FILE *f = fopen(path, "rb");
  need(f != NULL, path);
  struct stat s;
  need(fstat(fileno(f), &s) == 0, path);
  *n = (size_t)s.st_size;
  unsigned char *bytes = malloc(*n + 1);
  need(bytes != NULL, "malloc");
  need(fread(bytes, 1, *n, f) == *n, path);
  fclose(f);
  return bytes;
}

bool files_exist(const char *path) { return access(path, F_OK) == 0; }

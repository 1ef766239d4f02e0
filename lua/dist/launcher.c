/* bin/aviary and bin/aviary64 of the archive that `make dist` makes. Runs lib/NAME by the dynamic loader and with the
   libraries beside it, so that of the system it needs the kernel alone. It is linked statically, and reads no /proc.
   Only what is not beside it, the libraries of CUDA and the driver of a device, is looked for where systems have it. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

static const char cuda[] = "/usr/local/cuda/lib64:/usr/lib64:/usr/lib/wsl/lib";
enum { BEFORE = 7 }; /* arguments of the loader, before those of the program */

static int fail(const char *path)
{
  fprintf(stderr, "aviary: %s: %s; expected bin/ and lib/ as the archive has them\n", path, strerror(errno));
  return 127;
}

int main(int argc, char **argv)
{
  const char *called = (const char *)getauxval(AT_EXECFN);
  char self[PATH_MAX], root[PATH_MAX], lib[PATH_MAX + 8], loader[PATH_MAX + 16], program[2 * PATH_MAX];
  if (!realpath(called, self)) return fail(called);
  strcpy(root, self);
  char *name = strrchr(root, '/');
  *name++ = 0;
  char *bin = strrchr(root, '/');
  if (bin) *bin = 0;
  snprintf(lib, sizeof lib, "%s/lib", root);
  snprintf(loader, sizeof loader, "%s/loader", lib);
  snprintf(program, sizeof program, "%s/%s", lib, name);

  const char *more = getenv("LD_LIBRARY_PATH");
  size_t size = strlen(lib) + (more ? strlen(more) : 0) + sizeof cuda + 3;
  char *libraries = malloc(size);
  if (!libraries) return fail(self);
  snprintf(libraries, size, "%s:%s%s%s", lib, more ? more : "", more && *more ? ":" : "", cuda);

  unsetenv("LD_PRELOAD"); /* libraries of the system, for its own C library */
  unsetenv("LD_AUDIT");
  char **arguments = calloc((size_t)argc + BEFORE + 1, sizeof *arguments);
  if (!arguments) return fail(self);
  /* argv[0] is this file, as what starts the program again (program_file) */
  char *before[BEFORE] = {loader, "--inhibit-cache", "--library-path", libraries, "--argv0", self, program};
  memcpy(arguments, before, sizeof before);
  for (int i = 1; i < argc; i++) arguments[BEFORE - 1 + i] = argv[i];
  execv(loader, arguments);
  return fail(loader);
}

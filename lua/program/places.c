/* Where things are: this program, its library, its other half, the module for a device. */
#include "bindings/bind.h"
#include "program.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <unistd.h>

/* lua/dist/launcher.c starts the dynamic loader, which is /proc/self/exe then and has no base, and calls the program by
   its own path. */
const char *program_file(void) { return getauxval(AT_BASE) ? "/proc/self/exe" : program_call()->argv[0]; }

/* The directory of this program, without the last slash. */
static void program_directory(char *out, size_t size)
{
  ssize_t n = readlink(program_file(), out, size - 1);
  if (n < 0) snprintf(out, size, "%s", program_file());
  else out[n] = 0;
  char *slash = strrchr(out, '/');
  if (slash) *slash = 0;
}

const char *program_home(void)
{
  static char home[4096];
  char directory[3900], probe[4200];
  const char *given = getenv("AVIARY_HOME");
  program_directory(directory, sizeof directory);
  const char *places[] = {"", "/..", "/../..", "/../share/aviary", "/../../share/aviary"};
  for (int i = given ? -1 : 0; i < 5; i++) {
    snprintf(home, sizeof home, "%s%s", i < 0 ? given : directory, i < 0 ? "" : places[i]);
    snprintf(probe, sizeof probe, "%s/lua/rwkv/init.lua", home);
    if (access(probe, R_OK) == 0) return home;
  }
  return NULL;
}

/* The first of the places, seen from the directory of this program, where a file may be used so; or NULL. */
static const char *first_of(const char *const *places, int mode, char *path, size_t size)
{
  char directory[3900];
  program_directory(directory, sizeof directory);
  for (; *places; places++) {
    snprintf(path, size, "%s/%s", directory, *places);
    if (access(path, mode) == 0) return path;
  }
  return NULL;
}

const char *program_double(void)
{
  static char path[4200];
  static const char *const places[] = {"build/f64/aviary", "../f64/aviary", "../libexec/aviary/aviary64", "aviary64",
                                       NULL};
  return first_of(places, X_OK, path, sizeof path);
}

/* ./aviary or one in a tree, what is installed, the archive of `make dist`. */
const char *program_cuda(void)
{
  static char path[4200], plain[PATH_MAX];
#ifdef AVIARY_DOUBLE
  static const char *const places[] = {"../f64/cuda.so", "cuda64.so", "../lib/cuda64.so", NULL};
#else
  static const char *const places[] = {"build/f32/cuda.so", "../f32/cuda.so", "../libexec/aviary/cuda.so",
                                       "../lib/cuda.so", NULL};
#endif
  return first_of(places, R_OK, path, sizeof path) ? realpath(path, plain) : NULL;
}

void program_become_double(lua_State *L)
{
  const char *path = program_double();
  fflush(NULL);
  if (path) execv(path, program_call()->argv);
  luaL_error(L, "this needs the float64 program, which is not beside this one; `make` builds it as "
                "build/f64/aviary");
}

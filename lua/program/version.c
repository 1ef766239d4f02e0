/* aviary --version: what it was built from and with, what it found, and what the fast kernels use of the processor. */
#define PCRE2_CODE_UNIT_WIDTH 8

#include "program.h"

#include "commit.h"
#include "engine/num.h"

#include <cjson/cJSON.h>
#include <histedit.h>
#include <pcre2.h>
#include <seccomp.h>
#include <string.h>
#include <utf8proc.h>
#include <zip.h>
#include <zlib.h>

#if __has_include(<dnnl.h>)
#include <dnnl.h>
#endif

char *openblas_get_config(void); /* "OpenBLAS 0.3.21 ..."; its header stands where ref/fast alone looks */
const char *threading(void);     /* of bind.h, which has a Tokenizer as libedit has one */

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

/* ---- libraries ---- */

static void print_libraries(FILE *to)
{
  const struct scmp_version *seccomp = seccomp_version();
  fprintf(to, "libraries  " LUA_RELEASE);
#if __has_include(<dnnl.h>)
  const dnnl_version_t *dnnl = dnnl_version();
  fprintf(to, ", oneDNN %d.%d.%d", dnnl->major, dnnl->minor, dnnl->patch);
#endif
  fprintf(to, ", %.*s", (int)strcspn(openblas_get_config() + sizeof "OpenBLAS", " ") + (int)sizeof "OpenBLAS",
          openblas_get_config());
  fprintf(to, ", cJSON %s, libzip %s, zlib %s, PCRE2 %d.%d, utf8proc %s, libedit %d.%d, libseccomp %u.%u.%u\n",
          cJSON_Version(), zip_libzip_version(), zlibVersion(), PCRE2_MAJOR, PCRE2_MINOR, utf8proc_version(),
          LIBEDIT_MAJOR, LIBEDIT_MINOR, seccomp->major, seccomp->minor, seccomp->micro);
}

static void print_gnuplot(FILE *to)
{
  char line[100] = "";
  FILE *f = popen("gnuplot --version 2>/dev/null", "r");
  if (f && !fgets(line, sizeof line, f)) line[0] = 0;
  if (f) pclose(f);
  line[strcspn(line, "\n")] = 0;
  fprintf(to, "plots      %s\n", line[0] ? line : "gnuplot is not installed; `make deps` installs it");
}

/* ---- the processor ---- */

static const struct {
  const char *flag, *name; /* as /proc/cpuinfo has it, and people */
} features[] = {{"avx2", "AVX2"},        {"fma", "FMA"},      {"f16c", "F16C"},  {"avx512f", "AVX-512"},
                {"avx512_bf16", "BF16"}, {"amx_tile", "AMX"}, {"asimd", "NEON"}, {"sve", "SVE"}};

static bool has_word(const char *text, const char *word)
{
  size_t n = strlen(word);
  for (const char *p = text; (p = strstr(p, word)); p += n)
    if ((p == text || strchr(" \t", p[-1])) && strchr(" \n", p[n])) return true;
  return false;
}

/* The first line of /proc/cpuinfo that begins so, from its value on; "" if there is none. */
static void read_cpuinfo(char *line, int size, const char *key)
{
  FILE *f = fopen("/proc/cpuinfo", "r");
  bool found = false;
  while (f && !found && fgets(line, size, f)) found = strncmp(line, key, strlen(key)) == 0;
  if (f) fclose(f);
  char *value = found ? strchr(line, ':') : NULL;
  if (value) memmove(line, value + 2, strlen(value + 2) + 1);
  else line[0] = 0;
  line[strcspn(line, "\n")] = 0;
}

/* As ref/fast chooses them (fast_width). */
static const char *vectors(void)
{
#if defined(__x86_64__) && !defined(__clang__)
  if (__builtin_cpu_supports("x86-64-v4")) return "vectors of 64 bytes (AVX-512)";
  if (__builtin_cpu_supports("x86-64-v3")) return "vectors of 32 bytes (AVX2, FMA, F16C)";
#endif
#ifdef __aarch64__
  return "vectors of 16 bytes (NEON)";
#else
  return "vectors of 16 bytes, what every processor of this kind has";
#endif
}

static const char *products(void)
{
#if !defined(AVIARY_DOUBLE) && __has_include(<dnnl.h>)
  return "oneDNN";
#else
  return "OpenBLAS";
#endif
}

static void print_processor(FILE *to)
{
  char name[200], flags[8192];
  read_cpuinfo(name, sizeof name, "model name");
  read_cpuinfo(flags, sizeof flags, "flags");
  if (!flags[0]) read_cpuinfo(flags, sizeof flags, "Features");
  fprintf(to, "processor  %s:", name[0] ? name : "no name");
  for (size_t i = 0; i < sizeof features / sizeof *features; i++)
    if (has_word(flags, features[i].flag)) fprintf(to, " %s", features[i].name);
  fprintf(to, "\nfast path  %s; products of matrices by %s; threads by %s\n", vectors(), products(), threading());
}

static void print_device(FILE *to)
{
  fprintf(to, "device     %s\n",
          program_cuda() ? "--backend cuda is there; `aviary info --devices` lists what it finds"
                         : "no module for CUDA; `make cuda` builds it where nvcc is");
}

void print_version(FILE *to)
{
  fprintf(to, "aviary %s, commit %s, " REAL_NAME "\n", AVIARY_VERSION, AVIARY_COMMIT);
  fprintf(to, "compiler   " COMPILER "\n");
  print_libraries(to);
  print_gnuplot(to);
  print_processor(to);
  print_device(to);
}

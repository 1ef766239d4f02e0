/* The backend: which one computes, with how many threads, on which machine or device. No other file here knows. */
#include "bind.h"

#include "fast/fast.h"
#include "fast/machine.h"
#include "fast/places.h"
#include "fast/pool.h"
#include "fast/shadow.h"

#include <omp.h>
#include <string.h>

/* And at the end the one of a module, if the program has opened one. */
static const Backend *backends[] = {&backend_reference, &backend_fast, &backend_shadow, NULL, NULL};
enum { MODULE = 3 };

static const char *products_in = "full"; /* as --matmul says */

static int backend(lua_State *L) /* backend() -> name; backend("fast", "reference", "shadow" or the module's) */
{
  if (!lua_isnoneornil(L, 1)) {
    const char *name = luaL_checkstring(L, 1);
    const Backend *const *b = backends;
    while (*b && strcmp((*b)->name, name)) b++;
    if (!*b)
      return luaL_error(L,
                        "backend '%s': expected reference, fast or shadow; cuda and a module, ./FILE.so, are chosen "
                        "when the program starts: --backend",
                        name);
    backend_use(*b);
  }
  lua_pushstring(L, backend_now()->name);
  return 1;
}

static int matmul(lua_State *L) /* matmul() -> "full", "tf32" or "bf16" */
{
  bool elsewhere = strcmp(products_in, "tf32") == 0 && backend_now() != backends[MODULE];
  lua_pushstring(L, elsewhere ? "full" : products_in);
  return 1;
}

bool computes_on_device(void) { return backend_now()->device != NULL; }
size_t device_bytes(void) { return backend_far_bytes(); }

static int device(lua_State *L) /* device() -> the name of what computes, or nil: the CPU */
{
  lua_pushstring(L, backend_now()->device);
  return 1;
}

/* ---- modules ---- */

static const char *path_of_cuda(void)
{
  const char *path = program_cuda();
  if (!path)
    rwkv_fail("backend cuda: beside this program is no module cuda.so for " REAL_NAME
              "; `make cuda` builds it where nvcc is");
  return path;
}

typedef struct {
  const char *name;
  BackendChoice choice;
} Module;

static void use_module(void *module)
{
  const Module *m = module;
  const char *path = strchr(m->name, '/') ? m->name : path_of_cuda();
  backend_use(backends[MODULE] = backend_open(path, &m->choice));
  products_in = m->choice.matmul;
  if (strcmp(products_in, "bf16") == 0) backend_round_factors(FACTORS_BF16);
}

const char *round_factors(const char *in)
{
  if (strcmp(in, "tf32") == 0) return "only with a device; --backend cuda chooses one";
  if (strcmp(in, "full") && strcmp(in, "bf16")) return "expected full or bf16, and with a device tf32";
  backend_round_factors(strcmp(in, "bf16") == 0 ? FACTORS_BF16 : FACTORS_FULL);
  products_in = in;
  return NULL;
}

/* Only the program opens one, before a script can ask. */
const char *open_backend_module(const char *name, int on_device, const char *in)
{
  return rwkv_protect(use_module, &(Module){name, {on_device, in ? in : "full", rwkv_fail}});
}

static int devices(lua_State *L) /* devices() -> a list of lines, one for each; raises why there are none */
{
  char text[4096] = "";
  if (!backend_devices(path_of_cuda(), text, sizeof text)) return luaL_error(L, "backend cuda: %s", text);
  lua_newtable(L);
  for (const char *line = text; *line; line += *line == '\n') {
    size_t n = strcspn(line, "\n");
    lua_pushlstring(L, line, n);
    lua_seti(L, -2, luaL_len(L, -2) + 1);
    line += n;
  }
  return 1;
}

/* ---- the machine ---- */

static int threads(lua_State *L) /* threads() -> number; threads(n) */
{
  if (!lua_isnoneornil(L, 1)) fast_set_threads(int_argument(L, 1, 1, 256, "threads"));
  lua_pushinteger(L, fast_threads());
  return 1;
}

const char *threading(void) { return pool_threading(); }

void free_first_thread(void)
{
  cpu_set_t all;
  if (places_set(0, omp_get_num_places(), &all)) sched_setaffinity(0, sizeof all, &all);
}

/* machine_rates(threads, what) -> {read_bandwidth = bytes a second, gemm = operations a second}; what: "both", "read"
   or "gemm" */
static int machine_rates(lua_State *L)
{
  int n = opt_int_argument(L, 1, 1, 256, fast_threads(), "machine_rates: threads");
  int what = luaL_checkoption(L, 2, "both", (const char *const[]){"both", "read", "gemm", NULL});
  lua_createtable(L, 0, 2);
  if (what != 2) lua_pushnumber(L, machine_read_bandwidth(n)), lua_setfield(L, -2, "read_bandwidth");
  if (what != 1) lua_pushnumber(L, machine_gemm_rate(n)), lua_setfield(L, -2, "gemm");
  return 1;
}

static void set_count(lua_State *L, const char *name, size_t n)
{
  lua_pushinteger(L, (lua_Integer)n);
  lua_setfield(L, -2, name);
}

/* backend_counts() -> {ops, launches, reads, bytes, most_bytes, seconds}: what its device has done since the program
   began, and the memory that is taken and was at most; nil if the backend has none. backend_counts(true): from now on
   it waits for every op, and adds up the time that the device takes for them in `seconds`; false: no more. */
static int backend_counts(lua_State *L)
{
  BackendCounts *c = backend_now()->counts;
  if (!lua_isnoneornil(L, 1)) luaL_checktype(L, 1, LUA_TBOOLEAN);
  if (!c) return 0;
  if (lua_isboolean(L, 1)) c->timed = lua_toboolean(L, 1);
  lua_createtable(L, 0, 6);
  set_count(L, "ops", c->ops), set_count(L, "launches", c->launches), set_count(L, "reads", c->reads);
  set_count(L, "bytes", c->bytes), set_count(L, "most_bytes", c->most_bytes);
  lua_pushnumber(L, c->seconds), lua_setfield(L, -2, "seconds");
  return 1;
}

void open_backend(lua_State *L)
{
#ifndef AVIARY_DOUBLE
  backend_use(&backend_fast);
#endif
  lua_pushstring(L, threading());
  lua_setfield(L, -2, "threading");
  /* clang-format off */
  add_functions(L, (luaL_Reg[]){{"backend", backend}, {"matmul", matmul}, {"device", device}, {"threads", threads},
                                {"backend_counts", backend_counts}, {"machine_rates", machine_rates}, {NULL, NULL}});
  /* clang-format on */
  add_private(L, (luaL_Reg[]){{"devices", devices}, {NULL, NULL}});
}

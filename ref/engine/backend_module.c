/* Backends that are opened while the program runs. */
#include "backend.h"

#include "err.h"

#include <dlfcn.h>

uint64_t backend_layout(void)
{
  uint64_t h = sizeof(real) + 16 * sizeof(Backend);
  for (int id = 0; id < OP_COUNT; id++) {
    for (const char *c = op_rows[id].name; *c; c++) h = (h ^ (unsigned char)*c) * 0x100000001b3; /* FNV-1a */
    h = (h ^ op_rows[id].bytes) * 0x100000001b3;
  }
  return h;
}

const Backend *backend_open(const char *path)
{
  char why[300] = "";
  void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!module) rwkv_fail("backend %s: %s", path, dlerror());
  const BackendModule *m = dlsym(module, "rwkv_backend_module");
  if (!m) rwkv_fail("backend %s: it exports no rwkv_backend_module: this is no backend", path);
  if (m->layout() != backend_layout())
    rwkv_fail("backend %s: it was built for other ops than this program has, or not for " REAL_NAME
              ": build both from the same source",
              path);
  const Backend *b = m->open(why, sizeof why);
  if (!b) rwkv_fail("backend %s: %s", path, why);
  return b;
}

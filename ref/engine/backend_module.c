/* Backends that are opened while the program runs. */
#include "backend.h"

#include "err.h"

#include <dlfcn.h>

const Backend *backend_open(const char *path)
{
  char why[300] = "";
  void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!module) rwkv_fail("backend %s: %s", path, dlerror());
  const BackendModule *m = dlsym(module, "rwkv_backend_module");
  if (!m) rwkv_fail("backend %s: it exports no rwkv_backend_module: this is no backend", path);
  if (m->ops != OP_COUNT || m->real_bytes != (int)sizeof(real))
    rwkv_fail("backend %s: it was built for %d ops on float%d, this program has %d ops on " REAL_NAME
              ": build it from the same source",
              path, m->ops, 8 * m->real_bytes, OP_COUNT);
  const Backend *b = m->open(why, sizeof why);
  if (!b) rwkv_fail("backend %s: %s", path, why);
  return b;
}

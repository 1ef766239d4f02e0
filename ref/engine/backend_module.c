/* Backends that are opened while the program runs. */
#include "backend.h"

#include "err.h"

#include <dlfcn.h>

static const BackendModule *open_module(const char *path)
{
  void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!module) rwkv_fail("backend %s: %s", path, dlerror());
  const BackendModule *m = dlsym(module, "rwkv_backend_module");
  if (!m) rwkv_fail("backend %s: it exports no rwkv_backend_module: this is no backend", path);
  if (m->layout() != backend_layout())
    rwkv_fail("backend %s: it was built for other ops than this program has, or not for " REAL_NAME
              ": build both from the same source",
              path);
  return m;
}

const Backend *backend_open(const char *path, const BackendChoice *choice)
{
  char why[1000] = "";
  const Backend *b = open_module(path)->open(choice, why, sizeof why);
  if (!b) rwkv_fail("backend %s: %s", path, why);
  return b;
}

int backend_devices(const char *path, char *text, size_t size) { return open_module(path)->devices(text, size); }

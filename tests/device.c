#include "device.h"

#include "engine/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NO_DEVICE = 3 };

typedef struct {
  const char *path;
  bool lists; /* --devices */
  Device device;
} Opening;

static void open_module(void *arg)
{
  Opening *o = arg;
  char text[2000] = "";
  if (!o->lists) {
    o->device.backend = backend_open(o->path, &(BackendChoice){0, "full", rwkv_fail});
    return;
  }
  int count = backend_devices(o->path, text, sizeof text);
  puts(text);
  exit(count ? 0 : NO_DEVICE);
}

static _Noreturn void stop(const char *what, const char *why)
{
  fprintf(stderr, "%s%s\n", what, why);
  exit(1);
}

Device device_of(int argc, char **argv, const BackendModule *emulated)
{
  Opening o = {0};
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--module") == 0 && i + 1 < argc) o.path = argv[++i];
    else if (strcmp(argv[i], "--small") == 0) o.device.small = true;
    else if (strcmp(argv[i], "--large") == 0) o.device.large = true;
    else if (strcmp(argv[i], "--devices") == 0) o.lists = true;
    else if (argv[i][0] == '-')
      stop("expected [--module FILE] [--small] [--large] [--devices] [FILTER], found ", argv[i]);
    else cmocka_set_test_filter(argv[i]); /* 'cuda wkv7*' */
  }
  o.device.is_real = o.path != NULL;
  if (o.path) {
    const char *error = rwkv_protect(open_module, &o);
    if (error) stop("", error);
    return o.device;
  }
  char why[300] = "";
  o.device.backend = emulated->open(&(BackendChoice){0, "full", rwkv_fail}, why, sizeof why);
  if (!o.device.backend) stop("the processor as a device: ", why);
  return o.device;
}

/* The backend whose memory is far away (tests/far.h) as a module that the program opens: --backend build/f32/tests/far.so */
#include "../far.h"

#include <stdio.h>
#include <string.h>

static int no_devices(char *text, size_t size) { return snprintf(text, size, "it has none"), 0; }
static const Backend *open_far(const BackendChoice *choice, char *why, size_t size)
{
  if (!choice->device && strcmp(choice->matmul, "full") == 0) return &backend_far;
  snprintf(why, size, "it has no device, and products in full alone");
  return NULL;
}

__attribute__((visibility("default"))) extern const BackendModule rwkv_backend_module;
const BackendModule rwkv_backend_module = {backend_layout, no_devices, open_far};

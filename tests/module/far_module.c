/* The backend whose memory is far away (tests/far.h) as a module that the program opens: --backend build/f32/tests/far.so */
#include "../far.h"

static const Backend *open_far(char *why, size_t size) { return (void)why, (void)size, &backend_far; }

__attribute__((visibility("default"))) extern const BackendModule rwkv_backend_module;
const BackendModule rwkv_backend_module = {backend_layout, open_far};

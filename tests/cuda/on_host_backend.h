/* The backend of ref/cuda as the processor runs it (on_host.h), for tests in C. */
#ifndef AVIARY_ON_HOST_BACKEND_H
#define AVIARY_ON_HOST_BACKEND_H

#include "engine/backend.h"

extern const Backend backend_cuda;
extern const BackendModule rwkv_backend_module;

/* In which order the threads of a block run between two barriers, and the blocks of a launch. */
typedef enum { ORDER_FORWARD, ORDER_BACKWARD, ORDER_SHUFFLED, ORDER_COUNT } OnHostOrder;
void on_host_order(OnHostOrder order);

#endif

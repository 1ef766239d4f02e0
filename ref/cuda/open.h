/* What the backend is made of. */
#ifndef AVIARY_CUDA_OPEN_H
#define AVIARY_CUDA_OPEN_H

#include "device.h"

/* A line for each device; returns how many there are, and with 0 the text says why. */
int device_list(char *text, size_t size);
bool device_open(const BackendChoice *choice, char *why, size_t size); /* false, and why: it cannot be used */
extern char device_name[256];                                          /* of the one that is open */

void device_begin(void); /* of an op: from here on scratch is taken anew */
/* What ops of one kind put off, to be done together (many.h): before an op of another kind runs, and before memory is
   read, written or given back. */
void device_later(void (*work)(void));
void device_now(void);
void device_flush(void);
extern const Memory device_memory;

extern const BackendRanks device_ranks; /* ranks.cu */

extern const Backend backend_cuda;

#endif

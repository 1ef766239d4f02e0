/* An op with its operands where the host reaches them: copies of those that are in a device's memory, and room for
   scratch. So a reference kernel runs on what is anywhere. */
#ifndef AVIARY_HOST_COPY_H
#define AVIARY_HOST_COPY_H

#include "memory.h"
#include "ops.h"

typedef struct {
  const Memory *memory;
  int operands;
  Operand operand[MOST_OPERANDS]; /* on the host; */
  void *there[MOST_OPERANDS];     /* and where each is in `memory` */
  char *room;                     /* of the copies; for rwkv_release */
  _Alignas(max_align_t) char op[MOST_OP_BYTES];
} HostCopy;

void host_copy_take(HostCopy *h, const Memory *memory, OpId id, const void *op);
void host_copy_return(const HostCopy *h); /* what the op writes, to where it is in `memory` */

#endif

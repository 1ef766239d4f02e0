/* Shadow mode: every op runs twice on the same operands, by its fast kernel and by the reference, and the first
   output in which they disagree ends the run with an error that names it. What goes on from there are the numbers
   of the reference, so that a run in shadow mode is a run of the reference bit for bit. */
#ifndef AVIARY_SHADOW_H
#define AVIARY_SHADOW_H

#include "../engine/backend.h"

extern const Backend backend_shadow;

/* The same of a device, in whose memory the tensors are. One device at a time. */
const Backend *shadow_of(const Backend *b);

/* For tests: called with each op before its fast kernel, and when that has left its results; may spoil the outputs. */
extern void (*shadow_watch)(OpId id, const void *op, bool before);

#endif

/* How recurrences with large states save them for their backward pass: one before every segment of tokens. */
#ifndef AVIARY_K_SEGMENTS_H
#define AVIARY_K_SEGMENTS_H

#include "num.h"

enum { WKV_SEGMENT = 16 };
static inline size_t k_segments(size_t T) { return (T + WKV_SEGMENT - 1) / WKV_SEGMENT; }

#endif

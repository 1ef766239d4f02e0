/* The file that was opened last, as a target of libFuzzer has it in memory. */
#ifndef AVIARY_FUZZ_MAPPING_H
#define AVIARY_FUZZ_MAPPING_H

#include "io/format.h"

extern const Mapping *fuzz_mapping;

#endif

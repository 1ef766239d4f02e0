/* The device that test_cuda*.c run on: the one that the processor plays (cuda/on_host.h), or a real one behind a
   module.
     build/f32/tests/test_cuda --module build/f32/cuda.so [--small | --large] ['cuda wkv7*'] */
#ifndef AVIARY_TEST_DEVICE_H
#define AVIARY_TEST_DEVICE_H

#include "engine/backend.h"

typedef struct {
  const Backend *backend;
  bool is_real;
  bool small; /* the small cases alone, once: every step is watched, and takes its time */
  bool large; /* those that fill a device, alone */
} Device;

/* Reads the arguments, opens the device, and sets cmocka's filter. Ends the program where that is all that is asked for
   (--devices: prints what there is; status 3 and why, if there is none), and where it cannot be used. */
Device device_of(int argc, char **argv, const BackendModule *emulated);

#endif

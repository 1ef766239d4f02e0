/* Kernels: plain loops over plain memory, in the order of the mathematics. An op is one struct, which its kernel takes,
   and which every backend and the tape take too:
   - Outputs first, then inputs, then sizes. A kernel cannot fail and allocates nothing.
   - A forward kernel overwrites its outputs. A backward kernel *adds* to the gradients gx, ... and leaves out those
     that are NULL; g is the gradient that flows in, `forward` the op that it goes back through. Sums are in double.
   - Outputs never overlap inputs. Two gradients may be one and the same.
   - `scratch` has undefined contents; whoever runs a kernel gives it.
   B batch, T time, C channels = H heads x N, rows = any leading axes taken together. */
#ifndef AVIARY_KERNELS_H
#define AVIARY_KERNELS_H

#include "k_adam.h"
#include "k_array.h"
#include "k_attention.h"
#include "k_bounds.h"
#include "k_conv.h"
#include "k_copy.h"
#include "k_linear.h"
#include "k_loss.h"
#include "k_norm.h"
#include "k_packed.h"
#include "k_point.h"
#include "k_rosa.h"
#include "k_scan.h"
#include "k_shape.h"
#include "k_shift.h"
#include "k_steps.h"
#include "k_wkv.h"

#endif

/* Includes the file KERNELS once for each width of vectors, every time with other names (AT_WIDTH). The number of
   vectors that are worked on together depends on how many a processor holds, so target_clones, which compile one
   source for all, do not do here: a kernel's entry function asks vec_width() which of them to call. */
#define AT_WIDTH_2(name, width) name##_##width
#define AT_WIDTH_1(name, width) AT_WIDTH_2(name, width)
#define AT_WIDTH(name) AT_WIDTH_1(name, WIDTH)

#ifdef WIDE_VECTORS
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4")
#define WIDTH wide
#define LANES (64 / REAL_SIZE)
#include "f_vec.h"
#include KERNELS
#undef WIDTH
#undef LANES
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")
#define WIDTH middle
#define LANES (32 / REAL_SIZE)
#include "f_vec.h"
#include KERNELS
#undef WIDTH
#undef LANES
#pragma GCC pop_options
#endif

#define WIDTH narrow
#define LANES 4
#include "f_vec.h"
#include KERNELS
#undef WIDTH
#undef LANES

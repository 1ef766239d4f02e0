/* The table through which every tape op reaches its kernel. It starts as the reference (all k_*);
   a backend overrides single entries (ref/fast). The macro lists each entry once, so that the table,
   its names and the tests that walk it cannot drift apart. */
#ifndef AVIARY_OPS_H
#define AVIARY_OPS_H

#include "kernels.h"

#define OPS(OP)                                                                                         \
  OP(clear)                                                                                             \
  OP(unary) OP(unary_backward) OP(binary) OP(binary_backward) OP(compare) OP(where) OP(where_backward)  \
  OP(affine) OP(affine_backward)                                                                        \
  OP(lerp) OP(lerp_backward) OP(linear) OP(linear_backward) OP(matmul) OP(matmul_backward) OP(rows)     \
  OP(rows_backward) OP(linear_packed) OP(matmul_packed) OP(rows_packed)                                 \
  OP(norm) OP(norm_backward) OP(l2norm) OP(l2norm_backward) OP(shift)                                   \
  OP(shift_backward) OP(slice) OP(slice_add) OP(unslice) OP(unslice_add) OP(sum) OP(sum_backward)       \
  OP(cumsum) OP(cumsum_backward)                                                                        \
  OP(permute) OP(permute_backward) OP(max) OP(max_backward) OP(gather) OP(gather_backward)              \
  OP(softmax) OP(softmax_backward) OP(bmm) OP(bmm_backward) OP(cross_entropy)                           \
  OP(cross_entropy_backward) OP(argmax) OP(adamw) OP(sum_squares) OP(copy_scores)                       \
  OP(copy_scores_backward) OP(linear_attention) OP(linear_attention_backward) OP(attention)             \
  OP(attention_backward) OP(wkv1) OP(wkv1_backward) OP(wkv2) OP(wkv2_backward) OP(wkv4)                 \
  OP(wkv4_backward) OP(wkv6) OP(wkv6_backward) OP(wkv7) OP(wkv7_backward) OP(selective_scan)            \
  OP(selective_scan_backward)

#define OPS_FIELD(name) __typeof__(k_##name) *name;
typedef struct {
  OPS(OPS_FIELD)
  /* A backend may put work off. settle: all of it is done now; it stands before everything that reads or writes numbers
     outside a kernel, or gives their memory back. batch: what follows is about B sequences of T tokens of C channels,
     a hint that changes no result. */
  void (*settle)(void);
  void (*batch)(size_t B, size_t T, size_t C);
  bool (*read_later)(const void *p); /* whether work that was put off will read p as a whole, after most else is done */
} Ops;
#undef OPS_FIELD

extern Ops ops;                 /* what the tape calls */
extern const Ops reference_ops; /* all k_* */

#endif

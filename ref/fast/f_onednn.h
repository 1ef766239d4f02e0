/* Products of matrices by oneDNN, in float and bfloat16: by a kernel that it makes for one shape. Each thread keeps
   those that it has used. */
#ifndef AVIARY_FAST_ONEDNN_H
#define AVIARY_FAST_ONEDNN_H

#include "f_multiply.h"

#if !defined(AVIARY_DOUBLE) && __has_include(<dnnl.h>)
#define ONEDNN

bool onednn_has_bfloat16(void); /* whether this processor has kernels for it */
/* C (+)= A B of dense matrices. False, with nothing done, where there is no kernel that would be faster than the BLAS.
   a, b: the factors, in bfloat16 if q->factors says so; b as q->b_laid_out if that is not NULL. */
bool onednn_gemm(const Gemm *q, const void *a, const void *b);
void onednn_sgemm(const Gemm *q); /* of any shape; its b as it stands */
/* What B is laid out in: bytes, 0 if there is nothing to be won; and lays it out. */
size_t onednn_laid_out_bytes(const Gemm *q);
bool onednn_lay_out(void *to, const Gemm *q);
#else
static inline bool onednn_has_bfloat16(void) { return false; }
static inline bool onednn_gemm(const Gemm *q, const void *a, const void *b) { return (void)q, (void)a, (void)b, false; }
static inline size_t onednn_laid_out_bytes(const Gemm *q) { return (void)q, 0; }
static inline bool onednn_lay_out(void *to, const Gemm *q) { return (void)to, (void)q, false; }
#endif

#endif

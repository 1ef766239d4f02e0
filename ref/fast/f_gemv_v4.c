/* f_gemv for x86-64-v4 (AVX-512). */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(AVIARY_DOUBLE)
#pragma GCC target("arch=x86-64-v4")
#pragma GCC diagnostic ignored "-Wpsabi" /* all calls with vectors are inlined */
#include "f_gemv.h"
#include "f_math.h"

#include <immintrin.h>
#include <string.h>

#define VECTOR 64
#define HALVES(p) _mm256_loadu_si256((const __m256i_u *)(const void *)(p))
#define UNPACK_BF16(p) ((Vec)_mm512_slli_epi32(_mm512_cvtepu16_epi32(HALVES(p)), 16))
#define UNPACK_F16(p) ((Vec)_mm512_cvtph_ps(HALVES(p)))
#define GEMV_CODE fast_gemv_v4
#include "f_gemv_body.h"
#else
typedef int nothing_here;
#endif

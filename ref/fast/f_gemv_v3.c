/* f_gemv for x86-64-v3 (AVX2, FMA, F16C). */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(AVIARY_DOUBLE)
#pragma GCC target("arch=x86-64-v3")
#pragma GCC diagnostic ignored "-Wpsabi" /* all calls with vectors are inlined */
#include "f_gemv.h"
#include "f_math.h"

#include <immintrin.h>
#include <string.h>

#define VECTOR 32
#define HALVES(p) _mm_loadu_si128((const __m128i_u *)(const void *)(p))
#define UNPACK_BF16(p) ((Vec)_mm256_slli_epi32(_mm256_cvtepu16_epi32(HALVES(p)), 16))
#define UNPACK_F16(p) ((Vec)_mm256_cvtph_ps(HALVES(p)))
#define GEMV_CODE fast_gemv_v3
#include "f_gemv_body.h"
#else
typedef int nothing_here;
#endif

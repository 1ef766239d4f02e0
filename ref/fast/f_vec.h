/* A vector of numbers, as wide as the processor that this is compiled for has them. f_widths.h includes this
   and a kernel's file once for each width, every time under other names. */

#define Vec AT_WIDTH(Vec)
#define VecAnywhere AT_WIDTH(VecAnywhere)
#define Vec4Anywhere AT_WIDTH(Vec4Anywhere)
typedef real Vec __attribute__((vector_size(LANES * sizeof(real))));
typedef real VecAnywhere __attribute__((vector_size(LANES * sizeof(real)), aligned(sizeof(real)), may_alias));
typedef real Vec4Anywhere __attribute__((vector_size(4 * sizeof(real)), aligned(sizeof(real)), may_alias));

#define vec_load AT_WIDTH(vec_load)
#define vec_store AT_WIDTH(vec_store)
#define vec_of AT_WIDTH(vec_of)
#define vec_sums_4 AT_WIDTH(vec_sums_4)
INLINE Vec vec_load(const real *p) { return *(const VecAnywhere *)p; }
INLINE void vec_store(real *p, Vec x) { *(VecAnywhere *)p = x; }
INLINE Vec vec_of(real x) { return x - (Vec){0}; }

/* FOLD_n(a, b): lane l of what comes out is a[l] + a[l + n] where l / n is even, b[l - n] + b[l] where it is odd. */
#define PICK __builtin_shufflevector
#if LANES == 16
/* clang-format off */
#define FOLD_8(a, b) (PICK(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 24, 25, 26, 27, 28, 29, 30, 31) + \
                      PICK(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23))
/* clang-format on */
#define FOLD_4(a, b)                                                      \
  (PICK(a, b, 0, 1, 2, 3, 20, 21, 22, 23, 8, 9, 10, 11, 28, 29, 30, 31) + \
   PICK(a, b, 4, 5, 6, 7, 16, 17, 18, 19, 12, 13, 14, 15, 24, 25, 26, 27))
#define SPREAD_2(a) (a + PICK(a, a, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13))
#define SPREAD_1(a) (a + PICK(a, a, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14))
#elif LANES == 8
#define FOLD_4(a, b) (PICK(a, b, 0, 1, 2, 3, 12, 13, 14, 15) + PICK(a, b, 4, 5, 6, 7, 8, 9, 10, 11))
#define FOLD_2(a, b) (PICK(a, b, 0, 1, 10, 11, 4, 5, 14, 15) + PICK(a, b, 2, 3, 8, 9, 6, 7, 12, 13))
#define SPREAD_1(a) (a + PICK(a, a, 1, 0, 3, 2, 5, 4, 7, 6))
#else
#define FOLD_2(a, b) (PICK(a, b, 0, 1, 6, 7) + PICK(a, b, 2, 3, 4, 5))
#define FOLD_1(a, b) (PICK(a, b, 0, 5, 2, 7) + PICK(a, b, 1, 4, 3, 6))
#endif

/* p[0..3] = the sums over the lanes of of[0..3] */
INLINE void vec_sums_4(real *p, const Vec *of)
{
#if LANES == 16
  Vec ac = FOLD_8(of[0], of[2]), bd = FOLD_8(of[1], of[3]), x = FOLD_4(ac, bd);
  x = SPREAD_2(x);
  x = SPREAD_1(x);
  *(Vec4Anywhere *)p = PICK(x, x, 0, 4, 8, 12);
#elif LANES == 8
  Vec ac = FOLD_4(of[0], of[2]), bd = FOLD_4(of[1], of[3]), x = FOLD_2(ac, bd);
  x = SPREAD_1(x);
  *(Vec4Anywhere *)p = PICK(x, x, 0, 2, 4, 6);
#else
  Vec ac = FOLD_2(of[0], of[2]), bd = FOLD_2(of[1], of[3]);
  *(Vec4Anywhere *)p = FOLD_1(ac, bd);
#endif
}

#undef FOLD_8
#undef FOLD_4
#undef FOLD_2
#undef FOLD_1
#undef SPREAD_2
#undef SPREAD_1
#undef PICK

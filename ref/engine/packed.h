/* Numbers kept in 16 or 32 bits as a file has them: for weights that are only read. */
#ifndef AVIARY_PACKED_H
#define AVIARY_PACKED_H

#include "num.h"

/* IEEE binary32; bfloat16: its upper half; float16: IEEE binary16, up to 65504. */
typedef enum { STORED_F32, STORED_BF16, STORED_F16, STORAGE_COUNT } Storage;

typedef struct {
  const void *bits; /* NULL: nothing is packed */
  Storage storage;
} Packed;

extern const char *const storage_names[STORAGE_COUNT]; /* "f32", "bf16", "f16" */

size_t storage_size(Storage storage);  /* bytes a number */
acc packed_number(Packed p, size_t i); /* exactly the number that is stored */

acc packed_half(uint16_t bits); /* of float16 */

/* In what the factors of products are rounded before they are multiplied, to the nearest, to the even one of two: not
   at all, or in bfloat16. */
typedef enum { FACTORS_FULL, FACTORS_BF16 } Factors;
acc packed_bf16(acc x);
static inline acc packed_factor(Factors as, acc x) { return as == FACTORS_FULL ? x : packed_bf16(x); }

/* The n numbers x in `out`, each rounded to the nearest one that there is, to the even one of two. Returns the index of
   the first finite number that is too large for the format, n if there is none. */
size_t packed_write(void *out, Storage storage, const real *x, size_t n);
size_t packed_write_doubles(void *out, Storage storage, const double *x, size_t n);

/* The n numbers x, rounded so in place; what is too large becomes infinite. */
void packed_round(real *x, Storage storage, size_t n);

#endif

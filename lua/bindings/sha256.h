/* SHA-256 (FIPS 180-4). */
#ifndef AVIARY_SHA256_H
#define AVIARY_SHA256_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
  uint32_t state[8];
  unsigned char block[64]; /* what is not yet whole */
  uint64_t bytes;
} Sha256;

void sha256_begin(Sha256 *h);
void sha256_add(Sha256 *h, const void *data, size_t bytes);
void sha256_end(Sha256 *h, char text[65]); /* in hexadecimal digits */

#endif

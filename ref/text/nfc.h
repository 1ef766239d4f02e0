/* The canonical composition of Unicode, NFC, by utf8proc. */
#ifndef AVIARY_NFC_H
#define AVIARY_NFC_H

#include <stddef.h>
#include <stdint.h>

/* What it works in; {0} is empty. The text of the last call lies here. */
typedef struct {
  unsigned char *text;
  size_t n, room;
  int32_t *codes, *sorted;
  size_t count, code_room, sorted_room;
} Nfc;

/* The NFC of *n bytes of UTF-8, its length in *n: the text itself if nothing in it can change. */
const unsigned char *nfc_text(Nfc *f, const unsigned char *text, size_t *n);
void nfc_release(Nfc *f);

#endif

/* The entries of a zip archive in a mapping, as PyTorch's .pth and NumPy's .npz are archives. libzip reads the
   directory: zip64, damage and encryption are its business. An entry that is stored stays where it stands in the file
   and is not read, so nobody compares its checksum; one that is deflated is unpacked, and compared. */
#ifndef AVIARY_ARCHIVE_H
#define AVIARY_ARCHIVE_H

#include "format.h"

typedef struct Archive Archive;

/* Held by f, see format_hold. */
Archive *archive_open(TensorFile *f, const Mapping *m);
int archive_count(const Archive *a);
const char *archive_name(const Archive *a, int i);    /* in the order of the archive */
int archive_find(const Archive *a, const char *name); /* -1 if there is none */
/* The entry's bytes, which stay as long as the file. */
const unsigned char *archive_bytes(Archive *a, int i, size_t *size);
/* Metadata, if there is such an entry: a JSON object of texts. The last thing that is asked of the archive. */
void archive_texts(TensorFile *f, Archive *a, const char *name);

#endif

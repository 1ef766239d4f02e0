/* The name that a misspelt word was probably meant to be. */
#ifndef AVIARY_NEAREST_H
#define AVIARY_NEAREST_H

#include <stddef.h>

/* The name that takes the fewest slips to become the word, the first one of several. A slip: a letter too many, one
   missing, a wrong one, two neighbours exchanged. Upper and lower case are the same, so are '-' and '_'. NULL if it
   takes more than a third of the letters, or nothing of the word would stay. */
const char *nearest_name(const char *word, const char *const *names, size_t n);

/* The same for a list that ends with NULL, as the end of a message: ", did you mean 'x'?", or "" if nothing is near.
   Valid until the next call. */
const char *nearest_hint(const char *word, const char *const *names);

/* With the names after it, which may be cut: ", did you mean 'x'? there are: x, y", or "; there are: x, y". */
const char *nearest_listed(const char *word, const char *const *names);

#endif

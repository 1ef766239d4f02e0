#include "engine/nearest.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { MOST_LETTERS = 63 };

static int letter(char c) { return c == '-' ? '_' : tolower((unsigned char)c); }

/* v5 is no slip for v4: nobody means another number. */
static size_t replacing(int x, int y) { return x == y ? 0 : isdigit(x) && isdigit(y) ? 2 : 1; }

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* How many slips make b of a; row i, column j: of their first i and j letters. Three rows are kept: an exchange of
   neighbours looks back two. */
static size_t slips(const char *a, size_t n, const char *b, size_t m)
{
  size_t rows[3][MOST_LETTERS + 1];
  for (size_t i = 0; i <= n; i++) {
    size_t *now = rows[i % 3], *before = rows[(i + 2) % 3], *two_before = rows[(i + 1) % 3];
    now[0] = i;
    for (size_t j = 1; j <= m; j++) {
      if (i == 0) {
        now[j] = j;
        continue;
      }
      int x = letter(a[i - 1]), y = letter(b[j - 1]);
      now[j] = least(before[j - 1] + replacing(x, y), least(before[j], now[j - 1]) + 1);
      if (i > 1 && j > 1 && x != y && x == letter(b[j - 2]) && letter(a[i - 2]) == y)
        now[j] = least(now[j], two_before[j - 2] + 1);
    }
  }
  return rows[n % 3][m];
}

const char *nearest_name(const char *word, const char *const *names, size_t n)
{
  const char *best = NULL;
  size_t length = strlen(word), fewest = MOST_LETTERS;
  for (size_t i = 0; i < n && length <= MOST_LETTERS; i++) {
    size_t other = strlen(names[i]), shorter = least(length, other);
    if (other > MOST_LETTERS || shorter == 0) continue;
    size_t count = slips(word, length, names[i], other);
    if (count <= (length + 1) / 3 && count < shorter && count < fewest) {
      best = names[i];
      fewest = count;
    }
  }
  return best;
}

const char *nearest_hint(const char *word, const char *const *names)
{
  static char text[MOST_LETTERS + 32];
  size_t n = 0;
  while (names[n]) n++;
  const char *name = nearest_name(word, names, n);
  if (!name) return "";
  snprintf(text, sizeof text, ", did you mean '%s'?", name);
  return text;
}

const char *nearest_listed(const char *word, const char *const *names)
{
  static char text[1024];
  const char *hint = nearest_hint(word, names);
  size_t n = (size_t)snprintf(text, sizeof text, "%s there are:", *hint ? hint : ";");
  for (int i = 0; names[i] && n < sizeof text; i++)
    n += (size_t)snprintf(text + n, sizeof text - n, i ? ", %s" : " %s", names[i]);
  return text;
}

/* Text of files and scripts as it may go to a terminal (lua/rwkv/visible.lua, for errors). */
#include "program.h"

/* How many bytes the character at s has, 0 if it is none or not to be shown. */
static int shown(const unsigned char *s)
{
  if (*s < 0x80) return (*s >= ' ' && *s != 0x7f) || *s == '\n' || *s == '\t';
  int n = *s >= 0xf0 ? 4 : *s >= 0xe0 ? 3 : 2;
  if (*s < 0xc2 || *s > 0xf4 || (*s == 0xc2 && s[1] < 0xa0)) return 0; /* U+0080 .. U+009F control terminals, too */
  if ((*s == 0xe0 && s[1] < 0xa0) || (*s == 0xf0 && s[1] < 0x90)) return 0;
  for (int i = 1; i < n; i++)
    if ((s[i] & 0xc0) != 0x80) return 0;
  return n;
}

void print_visible(FILE *to, const char *text)
{
  for (const unsigned char *s = (const unsigned char *)text; *s;) {
    int n = shown(s);
    if (n > 0) fwrite(s, 1, (size_t)n, to);
    else fprintf(to, "\\x%02x", *s);
    s += n > 0 ? n : 1;
  }
}

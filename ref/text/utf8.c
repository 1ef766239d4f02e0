#include "utf8.h"

size_t utf8_read(const unsigned char *s, size_t n, int32_t *code)
{
  static const int32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  size_t length = s[0] < 0x80 ? 1 : s[0] < 0xc0 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf8 ? 4 : 0;
  if (length == 1) return *code = s[0], 1;
  if (length == 0 || length > n) return 0;
  int32_t c = s[0] & (0x7f >> length);
  for (size_t i = 1; i < length; i++) {
    if ((s[i] & 0xc0) != 0x80) return 0;
    c = c << 6 | (s[i] & 0x3f);
  }
  if (c < least[length] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) return 0;
  *code = c;
  return length;
}

size_t utf8_write(int32_t code, unsigned char *out)
{
  if (code < 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return 0;
  size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  for (size_t i = n; i-- > 1; code >>= 6) out[i] = (unsigned char)(0x80 | (code & 0x3f));
  static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};
  out[0] = (unsigned char)(first[n] | code);
  return n;
}

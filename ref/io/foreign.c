/* What people take for a file of tensors, and what to do with it. */
#include "format.h"

#include "../engine/err.h"

#include <string.h>

static const struct {
  size_t at;
  const char *bytes;
  size_t length;
  const char *is;
} kinds[] = {
#define AT(at, bytes, is)           \
  {                                 \
    at, bytes, sizeof bytes - 1, is \
  }
    AT(0, "lmgg", "a ggml file; take the model it was made from, a .pth or .safetensors"),
    AT(0, "fmgg", "a model of rwkv.cpp; take the one it was made from, a .pth or .safetensors"),
    AT(0, "\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20j\xa8\x50\x19",
       "a PyTorch file of the kind before 1.6, which cannot be read; torch.save(torch.load(FILE, "
       "map_location=\"cpu\"), "
       "NEW) writes one that can"),
    AT(0, "\x80\x02", "a Python pickle, not what torch.save writes"),
    AT(0, "\x80\x03", "a Python pickle, not what torch.save writes"),
    AT(0, "\x80\x04", "a Python pickle, not what torch.save writes"),
    AT(0, "\x80\x05", "a Python pickle, not what torch.save writes"),
    AT(0, "version https://git-lfs", "a Git LFS pointer, not the file itself; `git lfs pull` fetches it"),
    AT(0, "<!DOCTYPE", "a web page, not a model: the download failed"),
    AT(0, "<!doctype", "a web page, not a model: the download failed"),
    AT(0, "<html", "a web page, not a model: the download failed"),
    AT(0, "<HTML", "a web page, not a model: the download failed"),
    AT(0, "<?xml", "an XML text, not a model: the download failed"),
    AT(0, "\x1f\x8b", "compressed by gzip; unpack it first"),
    AT(0,
       "\xfd"
       "7zXZ",
       "compressed by xz; unpack it first"),
    AT(0, "\x28\xb5\x2f\xfd", "compressed by zstd; unpack it first"),
    AT(0, "BZh", "compressed by bzip2; unpack it first"),
    AT(0, "7z\xbc\xaf", "a 7z archive; unpack it first"),
    AT(0, "Rar!", "a rar archive; unpack it first"),
    AT(257, "ustar", "a tar archive; unpack it first"),
    AT(0, "\x89HDF", "an HDF5 file; weights are read from .safetensors, .pth and .npz"),
    AT(4, "TFL3", "a TensorFlow Lite file; weights are read from .safetensors, .pth and .npz"),
    AT(0, "\x08\x07\x12", "an ONNX file; weights are read from .safetensors, .pth and .npz"),
    AT(0,
       "\x7f"
       "ELF",
       "a program"),
#undef AT
};

static bool is_blank(const unsigned char *bytes, size_t size)
{
  size_t look = size < 65536 ? size : 65536;
  for (size_t i = 0; i < look; i++)
    if (bytes[i]) return false;
  return true;
}

void format_foreign(const unsigned char *bytes, size_t size)
{
  if (!size) rwkv_fail("is empty");
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (size >= kinds[i].at + kinds[i].length && !memcmp(bytes + kinds[i].at, kinds[i].bytes, kinds[i].length))
      rwkv_fail("is %s", kinds[i].is);
  if (size >= 4096 && is_blank(bytes, size)) rwkv_fail("is nothing but zeros: a download that did not finish?");
}

/* Pickles of state dicts, written as Python writes them with protocol 2, from strings. */
#ifndef AVIARY_TEST_PICKLES_H
#define AVIARY_TEST_PICKLES_H

#include <stddef.h>

/* The path of a file x.pth of this pickle and a storage "0" of the floats 1 to 6, in a directory of the archive.
   more: the name of a text beside them, or "". */
const char *pickle_file(const char *pickle, size_t n, const char *directory, const char *more, const char *text);

#define GLOBAL(module, name) "c" module "\n" name "\n"
#define KEY(letter) "X\1\0\0\0" letter
#define ODICT GLOBAL("collections", "OrderedDict") ")R"
#define STORAGE(type, key, count)                                          \
  "(X\7\0\0\0storage" GLOBAL("torch", type) "X\1\0\0\0" key "X\3\0\0\0cpu" \
                                            "K" count "tQ"
#define REST "\x89" ODICT /* requires_grad, hooks */
#define TENSOR(storage, offset, sizes, strides) \
  GLOBAL("torch._utils", "_rebuild_tensor_v2") "(" storage "K" offset "(" sizes "t(" strides "t" REST "tR"
#define DICT(items) "}(" items "u"
#define PICKLE(value) "\x80\2" value "."
#define SIX TENSOR(STORAGE("FloatStorage", "0", "\6"), "\0", "K\2K\3", "K\3K\1")

#endif

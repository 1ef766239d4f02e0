#include "names.h"

#include "../engine/err.h"
#include "format.h"
#include "names_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const NameTable official = {"official", "emb.weight", "blocks.", NULL, NULL, "", NULL, NULL},
                       official_v1 = {"official", "tok_emb.weight", "blocks.", NULL, NULL, "", NULL, NULL};

/* In this order: the embedding of one family must not be looked for in the names of another. */
static const NameTable *const tables[] = {&names_fla_v7,   &names_fla_v6, &names_transformers, &names_llama_v7,
                                          &names_llama_v6, &official,     &official_v1};

static bool begins(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

/* What trainers and wrappers of a module put in front of names, or call the part of a checkpoint with the model. */
static const char *const wrappers[] = {"module.",     "_forward_module.", "_orig_mod.",       "model.",
                                       "state_dict.", "base_model.",      "model_state_dict."};

const char *names_unwrapped(const char *name)
{
  for (size_t i = 0; i < sizeof wrappers / sizeof *wrappers; i++)
    if (begins(name, wrappers[i])) return name + strlen(wrappers[i]);
  return NULL;
}

/* If the name is wrappers before the sign, the length of them all; -1: it is not. */
static int prefix_length(const char *name, const char *sign)
{
  const char *rest = name;
  while (rest && strcmp(rest, sign)) rest = names_unwrapped(rest);
  return rest ? (int)(rest - name) : -1;
}

/* What follows the number of a block, NULL if the name is of no block; `block` is its number as text. */
const char *names_in_block(const char *name, const char *before, char block[12])
{
  if (!begins(name, before)) return NULL;
  name += strlen(before);
  size_t digits = strspn(name, "0123456789");
  if (digits < 1 || digits > 9 || name[digits] != '.') return NULL;
  sprintf(block, "%.*s", (int)digits, name);
  return name + digits + 1;
}

static bool has_mark(const TensorFile *f, const NameTable *table, const char *prefix)
{
  char block[12];
  for (int i = 0; i < file_count(f); i++) {
    const char *name = file_tensor(f, i)->given;
    const char *rest = begins(name, prefix) ? names_in_block(name + strlen(prefix), table->block, block) : NULL;
    if (rest && begins(rest, table->mark)) return true;
  }
  return false;
}

/* The table of the file's names, and the shortest prefix with which they are of it. */
static const NameTable *table_of(TensorFile *f, const char **prefix)
{
  for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
    const char *found = NULL;
    int shortest = -1;
    for (int i = 0; i < file_count(f); i++) {
      const char *name = file_tensor(f, i)->given;
      int n = prefix_length(name, tables[t]->sign);
      if (n >= 0 && (shortest < 0 || n < shortest)) shortest = n, found = name;
    }
    if (!found) continue;
    for (int i = 0; i < file_count(f); i++) {
      const char *other = file_tensor(f, i)->given;
      if (prefix_length(other, tables[t]->sign) >= 0 && strcmp(other, found))
        rwkv_fail(
            "holds two models, whose embeddings are \"%.100s\" and \"%.100s\": write the one into a file of its own",
            found, other);
    }
    *prefix = format_copy(f, found, (size_t)shortest);
    if (has_mark(f, tables[t], *prefix)) return tables[t];
  }
  return NULL;
}

/* ---- changes ---- */

FileTensor names_transposed(FileTensor t)
{
  int i = t.axes - 2, size = t.shape[i];
  ptrdiff_t stride = t.stride[i];
  t.shape[i] = t.shape[i + 1], t.stride[i] = t.stride[i + 1];
  t.shape[i + 1] = size, t.stride[i + 1] = stride;
  return t;
}

FileTensor names_row(FileTensor t, int row)
{
  t.bytes += row * t.stride[0] * (ptrdiff_t)file_type_size(t.type);
  t.n /= (size_t)t.shape[0];
  t.axes--;
  memmove(t.shape, t.shape + 1, (size_t)t.axes * sizeof *t.shape);
  memmove(t.stride, t.stride + 1, (size_t)t.axes * sizeof *t.stride);
  return t;
}

FileTensor names_reordered(TensorFile *f, FileTensor t, const int order[5])
{
  size_t block = t.n / 5, bytes = block * file_type_size(t.type);
  unsigned char *copy = format_memory(f, t.n * file_type_size(t.type));
  for (int i = 0; i < 5; i++) file_read_bytes(f, &t, (size_t)order[i] * block, block, copy + (size_t)i * bytes);
  t.bytes = copy, t.swapped = false;
  t.stride[0] = t.shape[1], t.stride[1] = 1;
  return t;
}

static FileTensor in_five(FileTensor t) /* [5 D, C] row-major -> [5, D, C] */
{
  t.axes = 3;
  t.shape[2] = t.shape[1], t.shape[1] = t.shape[0] / 5, t.shape[0] = 5;
  t.stride[2] = 1, t.stride[1] = t.shape[2], t.stride[0] = (ptrdiff_t)t.shape[1] * t.shape[2];
  return t;
}

static const int official_order[5] = {1, 2, 3, 0, 4}; /* w k v r g, of r w k v g */

/* What the official code has of their tensor; unchanged where its shape does not allow it, so that what looks at the
   shape of parameters can say what is wrong. */
static FileTensor changed(TensorFile *f, FileTensor t, const NameRule *rule)
{
  bool matrix = t.axes == 2 && t.n > 0;
  switch (rule->change) {
  case TRANSPOSED: return t.axes > 1 ? names_transposed(t) : t;
  case ROW:
  case SHEET: return t.axes > 1 && rule->row < t.shape[0] ? names_row(t, rule->row) : t;
  case MIX_W1: return matrix && t.shape[0] % 5 == 0 ? names_transposed(names_reordered(f, t, official_order)) : t;
  case MIX_W2:
    return matrix && t.shape[1] % 5 == 0 ? in_five(names_reordered(f, names_transposed(t), official_order)) : t;
  default: return t;
  }
}

/* ---- to official names ---- */

bool names_are_theirs(const NameRule *rule, const char *name)
{
  return rule->theirs && strcmp(rule->theirs, name) == 0;
}

bool names_rename(TensorFile *f, const NameTable *table, int i, const char *name, const char *before)
{
  char block[12] = "";
  const char *rest = names_in_block(name, table->block, block);
  const NameRule *rule = rest ? table->blocks : table->global;
  const FileTensor theirs = format_tensors(f)[i];
  bool known = false;
  for (; rule->official; rule++) {
    if (!names_are_theirs(rule, rest ? rest : name)) continue;
    FileTensor *t = known ? format_same(f, &theirs) : &format_tensors(f)[i];
    *t = changed(f, theirs, rule);
    t->name = format_printed(f, rest ? "%sblocks.%s.%s" : "%s%s%s", before, rest ? block : "", rule->official);
    known = true;
  }
  return known;
}

/* What stands in block 0 in the place of a value residual, so that every block has one. */
static bool is_filler(const NameTable *table, const char *name)
{
  char block[12];
  const char *rest = table && table->filled ? names_in_block(name, table->block, block) : NULL;
  size_t n = rest ? strlen(table->filled) : 0;
  return rest && strcmp(block, "0") == 0 && begins(rest, table->filled) && rest[n] >= '0' && rest[n] <= '2';
}

/* llama.cpp's converter may have halved weights every few layers; the metadata alone says so. */
static void check_scale(const TensorFile *f)
{
  const char *every = file_meta(f, "rwkv6.rescale_every_n_layers");
  if (every && strcmp(every, "0") != 0)
    rwkv_fail("its weights were divided by 2 every %.20s layers (rwkv6.rescale_every_n_layers); take the model that it "
              "was made from",
              every);
}

Names names_official(TensorFile *f)
{
  const char *prefix = "";
  Names *names = format_names(f);
  if (names->prefix) return *names;
  const NameTable *table = table_of(f, &prefix);
  *names = (Names){table ? table->family : NULL, prefix, 0};
  if (table == &names_llama_v6) check_scale(f);
  int count = file_count(f), kept = 0;
  FileTensor *t = format_tensors(f);
  for (int i = 0; i < count; i++) {
    bool inside = begins(t[i].given, prefix);
    names->outside += !inside;
    if (inside && !is_filler(table, t[i].given + strlen(prefix))) t[kept++] = t[i];
  }
  format_shorten(f, kept);
  for (int i = 0; i < kept; i++) {
    const char *name = format_tensors(f)[i].given + strlen(prefix);
    format_tensors(f)[i].name = name;
    if (table && table->blocks) names_rename(f, table, i, name, "");
  }
  format_sort(f);
  return *names;
}

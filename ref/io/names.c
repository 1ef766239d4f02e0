#include "names.h"

#include "../engine/err.h"
#include "format.h"
#include "names_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const NameTable official = {"official", "emb.weight", "blocks.", NULL, NULL, ""},
                       official_v1 = {"official", "tok_emb.weight", "blocks.", NULL, NULL, ""};

/* In this order: the embedding of one family must not be looked for in the names of another. */
static const NameTable *const tables[] = {&names_fla_v7, &names_fla_v6, &names_transformers, &official, &official_v1};

static bool begins(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

/* What trainers and wrappers of a module put in front of names, or call the part of a checkpoint with the model. */
static const char *const wrappers[] = {"module.",     "_forward_module.", "_orig_mod.",       "model.",
                                       "state_dict.", "base_model.",      "model_state_dict."};

/* If the name is wrappers before the sign, the length of them all; -1: it is not. */
static int prefix_length(const char *name, const char *sign)
{
  const char *rest = name;
  for (size_t i = 0; i < sizeof wrappers / sizeof *wrappers && strcmp(rest, sign); i++)
    if (begins(rest, wrappers[i])) rest += strlen(wrappers[i]), i = SIZE_MAX;
  return strcmp(rest, sign) == 0 ? (int)(rest - name) : -1;
}

/* What follows the number of a block, NULL if the name is of no block; `block` is its number as text. */
static const char *in_block(const char *name, const char *before, char block[12])
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
    const char *rest = begins(name, prefix) ? in_block(name + strlen(prefix), table->block, block) : NULL;
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

static FileTensor transposed(FileTensor t)
{
  ptrdiff_t stride = t.stride[0];
  int size = t.shape[0];
  t.shape[0] = t.shape[1], t.stride[0] = t.stride[1];
  t.shape[1] = size, t.stride[1] = stride;
  return t;
}

static FileTensor one_row(FileTensor t, int row)
{
  t.bytes += row * t.stride[0] * (ptrdiff_t)file_type_size(t.type);
  t.n /= (size_t)t.shape[0];
  t.axes--;
  memmove(t.shape, t.shape + 1, (size_t)t.axes * sizeof *t.shape);
  memmove(t.stride, t.stride + 1, (size_t)t.axes * sizeof *t.stride);
  return t;
}

/* [5 D, C] in a copy whose block i is the block order[i] of t. */
static FileTensor reordered(TensorFile *f, FileTensor t, const int order[5])
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
static const int fla_order[5] = {3, 0, 1, 2, 4};      /* and back */

/* What the official code has of their tensor; unchanged where its shape does not allow it, so that what looks at the
   shape of parameters can say what is wrong. */
static FileTensor changed(TensorFile *f, FileTensor t, const NameRule *rule)
{
  bool matrix = t.axes == 2 && t.n > 0;
  switch (rule->change) {
  case TRANSPOSED: return matrix ? transposed(t) : t;
  case ROW: return t.axes > 1 && rule->row < t.shape[0] ? one_row(t, rule->row) : t;
  case MIX_W1: return matrix && t.shape[0] % 5 == 0 ? transposed(reordered(f, t, official_order)) : t;
  case MIX_W2: return matrix && t.shape[1] % 5 == 0 ? in_five(reordered(f, transposed(t), official_order)) : t;
  default: return t;
  }
}

/* ---- to official names ---- */

static bool is_theirs(const NameRule *rule, const char *name)
{
  return rule->theirs && strcmp(rule->theirs, name) == 0;
}

/* Gives tensor i of the file its official name; a tensor that is several official ones becomes as many. */
static void rename_one(TensorFile *f, const NameTable *table, int i, const char *name)
{
  char block[12] = "";
  const char *rest = in_block(name, table->block, block);
  const NameRule *rule = rest ? table->blocks : table->global;
  const FileTensor theirs = format_tensors(f)[i];
  bool first = true;
  for (; rule->official; rule++) {
    if (!is_theirs(rule, rest ? rest : name)) continue;
    FileTensor *t = first ? &format_tensors(f)[i] : format_same(f, &theirs);
    *t = changed(f, theirs, rule);
    t->name = format_printed(f, rest ? "blocks.%s.%s" : "%s%s", rest ? block : "", rule->official);
    first = false;
  }
}

Names names_official(TensorFile *f)
{
  const char *prefix = "";
  Names *names = format_names(f);
  if (names->prefix) return *names;
  const NameTable *table = table_of(f, &prefix);
  *names = (Names){table ? table->family : NULL, prefix, 0};
  int count = file_count(f), kept = 0;
  FileTensor *t = format_tensors(f);
  for (int i = 0; i < count; i++) {
    bool inside = begins(t[i].given, prefix);
    names->outside += !inside;
    if (inside) t[kept++] = t[i];
  }
  format_shorten(f, kept);
  for (int i = 0; i < kept; i++) {
    const char *name = format_tensors(f)[i].given + strlen(prefix);
    format_tensors(f)[i].name = name;
    if (table && table->blocks) rename_one(f, table, i, name);
  }
  format_sort(f);
  return *names;
}

/* ---- and back ---- */

static FileTensor without_ones(FileTensor t)
{
  while (t.axes > 1 && t.shape[0] == 1) t = one_row(t, 0);
  return t;
}

static FileTensor flat_rows(FileTensor t) /* [5, D, C] -> [5 D, C] */
{
  t.shape[0] *= t.shape[1], t.shape[1] = t.shape[2];
  t.stride[0] = t.stride[1], t.stride[1] = t.stride[2];
  t.axes = 2;
  return t;
}

static const FileTensor *in_same_block(const TensorFile *f, const FileTensor *like, const char *name)
{
  char full[120], block[12];
  in_block(like->name, "blocks.", block);
  snprintf(full, sizeof full, "blocks.%s.%s", block, name);
  const FileTensor *t = file_find(f, full);
  if (!t || t->type != like->type || t->n != like->n) rwkv_fail("%s is missing, or is not like %s", full, like->name);
  return t;
}

/* Theirs in one, [rows, C]: the rules that follow each other with the same name of theirs. */
static FileTensor joined(TensorFile *f, const FileTensor *first, const NameRule *rule)
{
  int rows = 0;
  while (is_theirs(&rule[rows], rule->theirs)) rows++;
  size_t bytes = first->n * file_type_size(first->type);
  unsigned char *copy = format_memory(f, (size_t)rows * bytes);
  for (int i = 0; i < rows; i++)
    file_read_bytes(f, in_same_block(f, first, rule[i].official), 0, first->n, copy + (size_t)i * bytes);
  FileTensor t = *first;
  t.axes = 2, t.shape[0] = rows, t.shape[1] = (int)first->n;
  t.stride[0] = t.shape[1], t.stride[1] = 1;
  t.n *= (size_t)rows, t.bytes = copy, t.swapped = false;
  return t;
}

static FileTensor changed_back(TensorFile *f, const FileTensor *t, const NameRule *rule)
{
  bool five = (rule->change == MIX_W1 && t->axes == 2 && t->shape[1] % 5 == 0) ||
              (rule->change == MIX_W2 && t->axes == 3 && t->shape[0] == 5 && file_row_major(t));
  if ((rule->change == TRANSPOSED && t->axes != 2) || (rule->change >= MIX_W1 && !five))
    rwkv_fail("%s has another shape than fla's %s can have", t->name, rule->theirs);
  switch (rule->change) {
  case FLAT: return without_ones(*t);
  case TRANSPOSED: return transposed(*t);
  case ROW: return joined(f, t, rule);
  case MIX_W1: return reordered(f, transposed(*t), fla_order);
  case MIX_W2: return transposed(reordered(f, flat_rows(*t), fla_order));
  default: return *t;
  }
}

static const NameRule *rule_of(const NameTable *table, const char *name, bool block)
{
  const NameRule *rule = block ? table->blocks : table->global;
  while (rule->official && strcmp(rule->official, name)) rule++;
  return rule->official ? rule : NULL;
}

void names_fla(TensorFile *f)
{
  const NameTable *table = file_find(f, "blocks.0.att.x_r") ? &names_fla_v7 : &names_fla_v6;
  int count = file_count(f);
  FileTensor *theirs = format_memory(f, (size_t)count * sizeof *theirs);
  int made = 0;
  if (table == &names_fla_v6 && !file_find(f, "blocks.0.att.time_maa_w1"))
    rwkv_fail("flash-linear-attention has names for RWKV-6 and RWKV-7 only");
  for (int i = 0; i < count; i++) {
    char block[12] = "";
    const FileTensor *t = file_tensor(f, i);
    const char *rest = in_block(t->name, "blocks.", block);
    const NameRule *rule = rule_of(table, rest ? rest : t->name, rest != NULL);
    if (rest && strcmp(block, "0") == 0 && begins(rest, "att.v") && strlen(rest) == 6) continue;
    if (!rule) rwkv_fail("%s has no name in flash-linear-attention", t->name);
    if (rule->change == ROW && rule->row > 0) continue;
    theirs[made] = changed_back(f, t, rule);
    theirs[made++].name = rest ? format_printed(f, "%s%s.%s", table->block, block, rule->theirs) : rule->theirs;
  }
  format_shorten(f, 0);
  for (int i = 0; i < made; i++) *format_same(f, &theirs[i]) = theirs[i];
  format_sort(f);
  format_names(f)->family = "fla";
}

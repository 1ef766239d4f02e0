/* From official names to those of a family. */
#include "names.h"

#include "../engine/err.h"
#include "format.h"
#include "names_table.h"

#include <stdio.h>
#include <string.h>

/* What a model has in block 0 by which its table is known. */
static const struct {
  const NameTable *table;
  const char *has;
} tables[] = {
    {&names_fla_v7, "blocks.0.att.x_r"},
    {&names_fla_v6, "blocks.0.att.time_maa_w1"},
    {&names_llama_v7, "blocks.0.att.x_r"},
    {&names_llama_v6, "blocks.0.att.time_maa_w1"},
    {&names_transformers, "blocks.0.att.time_mix_k"},
    {&names_transformers, "blocks.0.att.time_maa_w1"},
};

const char *const names_families[] = {"official", "fla", "transformers", "llama.cpp", NULL};

static const NameTable *table_for(const TensorFile *f, const char *family)
{
  for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
    if (strcmp(tables[i].table->family, family) == 0 && file_find(f, tables[i].has)) return tables[i].table;
  rwkv_fail("%s has names for %s only", family,
            strcmp(family, "transformers") ? "RWKV-6 and RWKV-7" : "RWKV-4, RWKV-5 and RWKV-6");
}

/* ---- changes ---- */

static const int theirs_order[5] = {3, 0, 1, 2, 4}; /* r w k v g, of w k v r g */

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
  names_in_block(like->name, "blocks.", block);
  snprintf(full, sizeof full, "blocks.%s.%s", block, name);
  const FileTensor *t = file_find(f, full);
  if (!t || t->type != like->type || t->n != like->n) rwkv_fail("%s is missing, or is not like %s", full, like->name);
  return t;
}

/* `rows` tensors of official names that follow each other in the rules, in one: [rows, n]. */
static FileTensor joined(TensorFile *f, const FileTensor *first, const NameRule *rule, int rows)
{
  size_t bytes = first->n * file_type_size(first->type);
  unsigned char *copy = format_memory(f, (size_t)rows * bytes);
  for (int i = 0; i < rows; i++)
    file_read_bytes(f, i ? in_same_block(f, first, rule[i].official) : first, 0, first->n, copy + (size_t)i * bytes);
  FileTensor t = *first;
  t.axes = 2, t.shape[0] = rows, t.shape[1] = (int)first->n;
  t.stride[0] = t.shape[1], t.stride[1] = 1;
  t.n *= (size_t)rows, t.bytes = copy, t.swapped = false;
  return t;
}

static FileTensor all_rows(TensorFile *f, const FileTensor *first, const NameRule *rule)
{
  int rows = 0;
  while (names_are_theirs(&rule[rows], rule->theirs)) rows++;
  return joined(f, first, rule, rows);
}

static FileTensor sheets(FileTensor t) /* [rows, n] -> [rows, 1, 1, n] */
{
  t.axes = 4;
  t.shape[3] = t.shape[1], t.shape[1] = t.shape[2] = 1;
  t.stride[3] = 1, t.stride[1] = t.stride[2] = t.stride[0];
  return t;
}

static FileTensor flat(TensorFile *f, const FileTensor *t, const NameRule *rule)
{
  FileTensor out = file_row_major(t) ? *t : names_row(joined(f, t, rule, 1), 0);
  out.axes = 1, out.shape[0] = (int)out.n, out.stride[0] = 1;
  return out;
}

static FileTensor changed_back(TensorFile *f, const FileTensor *t, const NameRule *rule, const char *family)
{
  bool fits = true;
  if (rule->change == TRANSPOSED) fits = t->axes > 1;
  if (rule->change == MIX_W1) fits = t->axes == 2 && t->shape[1] % 5 == 0;
  if (rule->change == MIX_W2) fits = t->axes == 3 && t->shape[0] == 5 && file_row_major(t);
  if (!fits) rwkv_fail("%s has another shape than %s's %s can have", t->name, family, rule->theirs);
  switch (rule->change) {
  case FLAT: return flat(f, t, rule);
  case TRANSPOSED: return names_transposed(*t);
  case ROW: return all_rows(f, t, rule);
  case SHEET: return sheets(all_rows(f, t, rule));
  case MIX_W1: return names_reordered(f, names_transposed(*t), theirs_order);
  case MIX_W2: return names_transposed(names_reordered(f, flat_rows(*t), theirs_order));
  default: return *t;
  }
}

/* ---- names ---- */

static const NameRule *rule_in(const NameRule *rules, const char *name)
{
  while (rules->official && strcmp(rules->official, name)) rules++;
  return rules->official ? rules : NULL;
}

static bool is_unused(const char *name) /* v7's value residual of block 0 */
{
  return strncmp(name, "blocks.0.att.v", 14) == 0 && strlen(name) == 15;
}

/* What block 0 has in the place of a value residual, of the shapes of its learning rate: att.a0 for att.v0. */
static const FileTensor *filling(const TensorFile *f, const NameTable *table, const char *rest)
{
  char name[] = "blocks.0.att.aN";
  if (!table->filled || !rest || strncmp(rest, "att.v", 5) || strlen(rest) != 6) return NULL;
  name[14] = rest[5];
  return file_find(f, name);
}

typedef struct {
  TensorFile *f;
  const NameTable *table;
  FileTensor *made;
  int count;
} Back;

static void put(Back *b, const FileTensor *t, const NameRule *rule, const char *block)
{
  FileTensor *made = &b->made[b->count++];
  *made = changed_back(b->f, t, rule, b->table->family);
  made->name = block ? format_printed(b->f, "%s%s.%s", b->table->block, block, rule->theirs) : rule->theirs;
}

static void rename_back(Back *b, const FileTensor *t)
{
  char block[12];
  const NameRule *rule = rule_in(b->table->global, t->name);
  if (is_unused(t->name)) return;
  if (rule) {
    put(b, t, rule, NULL);
    return;
  }
  const char *rest = names_in_block(t->name, "blocks.", block);
  rule = rest ? rule_in(b->table->blocks, rest) : NULL;
  if (!rule) rwkv_fail("%s has no name in %s", t->name, b->table->family);
  if ((rule->change == ROW || rule->change == SHEET) && rule->row > 0) return;
  put(b, t, rule, block);
}

void names_to(TensorFile *f, const char *family)
{
  int count = file_count(f);
  Back b = {f, table_for(f, family), format_memory(f, ((size_t)count + 3) * sizeof *b.made), 0};
  for (int i = 0; i < count; i++) rename_back(&b, file_tensor(f, i));
  for (const NameRule *rule = b.table->blocks; rule->official; rule++) {
    const FileTensor *t = filling(f, b.table, rule->official);
    if (t) put(&b, t, rule, "0");
  }
  if (strcmp(family, names_llama_v7.family) == 0) names_llama_sizes(f, b.table);
  format_shorten(f, 0);
  for (int i = 0; i < b.count; i++) *format_same(f, &b.made[i]) = b.made[i];
  format_sort(f);
  format_names(f)->family = b.table->family;
}

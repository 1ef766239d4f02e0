/* Names of families where a file has a part of a model, or gradients. */
#include "names.h"

#include "format.h"
#include "names_table.h"

#include <string.h>

static const NameTable *const tables[] = {&names_fla_v7, &names_fla_v6, &names_transformers, &names_llama_v7,
                                          &names_llama_v6};

static const char behind[] = "grad.", last[] = "grad"; /* how a gradient's name begins, or what it ends with */

static bool begins(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

/* The name of the weight; *gradient: whether the tensor is its gradient. */
static const char *weight_of(TensorFile *f, const char *name, bool *gradient)
{
  const char *dot = strrchr(name, '.');
  *gradient = true;
  if (begins(name, behind)) return name + strlen(behind);
  if (dot && dot > name && strcmp(dot + 1, last) == 0) return format_copy(f, name, (size_t)(dot - name));
  *gradient = false;
  return name;
}

static bool is_official(const char *name)
{
  static const char *const first[] = {"blocks.", "emb.", "head.", "ln_out.", "head_q.", "head_k."};
  bool is = false;
  for (size_t i = 0; i < sizeof first / sizeof *first; i++) is |= begins(name, first[i]);
  return is;
}

/* Behind as many wrappers as there are, the fewest first: the names of fla begin like one. */
static void rename_one(TensorFile *f, const char *version, int i)
{
  bool gradient;
  const char *name = weight_of(f, format_tensors(f)[i].given, &gradient), *put = gradient ? behind : "";
  for (; name; name = names_unwrapped(name)) {
    for (size_t k = 0; k < sizeof tables / sizeof *tables; k++) {
      bool other = tables[k]->version && strcmp(tables[k]->version, version);
      if (!other && names_rename(f, tables[k], i, name, put)) return;
    }
    if (is_official(name)) {
      format_tensors(f)[i].name = format_printed(f, "%s%s", put, name);
      return;
    }
  }
}

void names_known(TensorFile *f, const char *version)
{
  int count = file_count(f);
  for (int i = 0; i < count; i++) rename_one(f, version, i);
  format_sort(f);
}

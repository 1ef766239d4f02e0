/* What files say of their models besides parameters: sizes, and hooks. */
#include "metadata.h"

#include "engine/err.h"
#include "variants.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

/* clang-format off */
const SizeName model_size_names[] = {
    {"layers", offsetof(Dims, L)},      {"vocab", offsetof(Dims, V)},
    {"dim", offsetof(Dims, C)},         {"dim_att", offsetof(Dims, A)},
    {"dim_ffn", offsetof(Dims, F)},     {"head_size", offsetof(Dims, N)},
    {"decay_rank", offsetof(Dims, Dw)}, {"iclr_rank", offsetof(Dims, Da)},
    {"value_rank", offsetof(Dims, Dv)}, {"gate_rank", offsetof(Dims, Dg)},
    {"key_norm_rank", offsetof(Dims, Dk)},  {"key_iclr_rank", offsetof(Dims, Dka)},
    {"key_decay_rank", offsetof(Dims, Dkw)},
    {"mix_rank", offsetof(Dims, Dm)},   {"head_qk", offsetof(Dims, Q)},
    {"ctx", offsetof(Dims, ctx)},       {"pre_ffn", offsetof(Dims, pre_ffn)},
    {"tiny_att_layer", offsetof(Dims, tiny_layer)}, {"tiny_att", offsetof(Dims, tiny)},
    {"tied", offsetof(Dims, tied)},     {NULL, 0},
};
/* clang-format on */

bool metadata_number(const char *text, size_t length, long most, long *out)
{
  *out = 0;
  for (size_t i = 0; i < length; i++) {
    if (text[i] < '0' || text[i] > '9' || *out > (most - (text[i] - '0')) / 10) return false;
    *out = 10 * *out + (text[i] - '0');
  }
  return length > 0;
}

/* The value of NAME in "name=value name=value ..", in a static buffer; NULL if it is not there. */
static const char *value_in(const char *list, const char *name)
{
  static char value[HOOK_LIST];
  size_t n = strlen(name);
  for (const char *at = list; at && *at; at += strcspn(at, " "), at += strspn(at, " "))
    if (strncmp(at, name, n) == 0 && at[n] == '=') {
      snprintf(value, sizeof value, "%.*s", (int)strcspn(at + n + 1, " "), at + n + 1);
      return value;
    }
  return NULL;
}

const char *hook_name_in(const char *hooks, HookSlot slot) { return value_in(hooks, hook_slots[slot].name); }

/* "name=value name=value ..", whole numbers under names of model_size_names, into d. */
static void read_sizes(const TensorFile *f, const char *sizes, Dims *d)
{
  for (size_t n; *sizes; sizes += n, sizes += strspn(sizes, " ")) {
    long value;
    size_t name = strcspn(sizes, " =");
    const SizeName *s = model_size_names;
    n = strcspn(sizes, " ");
    while (s->name && !(strlen(s->name) == name && memcmp(s->name, sizes, name) == 0)) s++;
    if (!s->name || name == n || !metadata_number(sizes + name + 1, n - name - 1, INT_MAX, &value))
      rwkv_fail("%s: among its sizes stands \"%.*s\", expected one such as layers=2", file_path(f),
                n < 80 ? (int)n : 80, sizes);
    *dims_at(d, s->at) = (int)value;
  }
}

void metadata_sizes(const TensorFile *f, const Version *v, Dims *d)
{
  const char *sizes = file_meta(f, "aviary.sizes"), *version = file_meta(f, "version");
  Dims said = {0};
  if (!sizes || !version || strcmp(version, v->name)) return;
  read_sizes(f, sizes, &said);
  for (const SizeName *s = model_size_names; s->name; s++)
    if (dims_size(d, s->at) == 0) *dims_at(d, s->at) = dims_size(&said, s->at);
}

typedef struct {
  const char *name;
  const Version *version;
} Search;

static void search(void *arg) { ((Search *)arg)->version = version_find(((Search *)arg)->name); }

const Version *model_hooked(TensorFile *f, Dims *d, const char **hooks)
{
  const char *sizes = file_meta(f, "aviary.sizes"), *version = file_meta(f, "version");
  *hooks = file_meta(f, "aviary.hooks");
  if (!*hooks) return NULL;
  if (!sizes || !version) rwkv_fail("%s: it has hooks, but does not say its version and sizes", file_path(f));
  *d = (Dims){0};
  read_sizes(f, sizes, d);
  Search s = {version, NULL};
  const char *error = rwkv_protect(search, &s);
  if (error) file_fail(f, error);
  return s.version;
}

void hook_names(const Version *v, const Dims *d, HookSlot slot, char out[HOOK_LIST])
{
  *out = 0;
  for (int layer = 0; layer < (d->layer_hook[slot] ? d->L : 1); layer++) {
    const Hook *h = dims_hook(d, slot, layer);
    size_t n = strlen(out);
    int added = snprintf(out + n, HOOK_LIST - n, "%s%s", layer ? "," : "", h ? h->name : v->own[slot]);
    if (added >= (int)(HOOK_LIST - n))
      rwkv_fail("the names of hook %s by layer are longer than a file may have, %d bytes", hook_slots[slot].name,
                HOOK_LIST - 1);
  }
}

static bool has_names(const Version *v, const Dims *given, HookSlot slot, const char *names)
{
  char text[HOOK_LIST];
  if (!dims_hooked(given, slot)) return false;
  hook_names(v, given, slot, text);
  return strcmp(text, names) == 0;
}

void metadata_hooks(const TensorFile *f, const Version *v, const char *names, const Dims *given, Dims *d)
{
  for (HookSlot slot = 0; slot < HOOK_SLOTS; slot++) {
    const char *name = hook_name_in(names, slot);
    if (!name) continue;
    if (given && has_names(v, given, slot, name)) {
      d->hook[slot] = given->hook[slot], d->layer_hook[slot] = given->layer_hook[slot];
      continue;
    }
    d->hook[slot] = hook_find(slot, name);
    if (!d->hook[slot])
      rwkv_fail("%s: it has the %s hook \"%.200s\", which is not built-in: define it before you load the file",
                file_path(f), hook_slots[slot].name, name);
  }
}

/* ---- writing ---- */

static void add_pair(char *list, size_t size, const char *name, const char *value)
{
  size_t n = strlen(list);
  int added = snprintf(list + n, size - n, "%s%s=%s", n ? " " : "", name, value);
  if (added >= (int)(size - n)) rwkv_fail("what a file says of hooks or sizes is longer than %zu bytes", size - 1);
}

void metadata_write(const Model *m, FileWriter *w)
{
  char hooks[2 * HOOK_LIST] = "", names[HOOK_LIST], sizes[600] = "", number[16];
  for (HookSlot slot = 0; slot < HOOK_SLOTS; slot++) {
    if (!dims_hooked(&m->d, slot)) continue;
    hook_names(m->version, &m->d, slot, names);
    add_pair(hooks, sizeof hooks, hook_slots[slot].name, names);
  }
  for (const SizeName *s = model_size_names; s->name; s++) {
    snprintf(number, sizeof number, "%d", dims_size(&m->d, s->at));
    add_pair(sizes, sizeof sizes, s->name, number);
  }
  if (*hooks) writer_put_meta(w, "aviary.hooks", hooks);
  writer_put_meta(w, "aviary.sizes", sizes);
}

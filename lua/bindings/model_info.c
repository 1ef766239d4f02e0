/* What a file of a model is, without its numbers being read. */
#include "bind.h"

#include "io/names.h"
#include "model/recognise.h"

#include <ctype.h>

typedef struct {
  TensorFile *file;
  LoadOptions options;
  Fit fit;
  Counts counts;
  size_t spare;
} Look;

/* Parameters that nothing depends on, if the file has them. */
static void count_spare(void *ctx, const LayoutParam *p)
{
  Look *l = ctx;
  const FileTensor *t = layout_is_spare(p) ? file_find(l->file, p->name) : NULL;
  l->spare += t ? t->n : 0;
}

static void look(void *arg)
{
  Look *l = arg;
  l->fit = recognise_model(l->file, &l->options);
  layout_each_param(l->fit.version, &l->fit.d, count_spare, l);
  l->counts = version_counts(l->fit.version, &l->fit.d, 0);
}

static void set_number(lua_State *L, const char *key, size_t n)
{
  lua_pushinteger(L, (lua_Integer)n);
  lua_setfield(L, -2, key);
}

static void set_text(lua_State *L, const char *key, const char *text)
{
  lua_pushstring(L, text);
  lua_setfield(L, -2, key);
}

/* dtypes = {bf16 = numbers, ..}, bytes, time_states of the tensors of a model. */
static void push_tensors(lua_State *L, const TensorFile *f)
{
  size_t numbers[FILE_TYPES] = {0}, bytes = 0, states = 0;
  for (int i = 0; i < file_count(f); i++) {
    const FileTensor *t = file_tensor(f, i);
    numbers[t->type] += t->n;
    bytes += t->n * file_type_size(t->type);
    states += recognise_state(t->name);
  }
  lua_newtable(L);
  for (int type = 0; type < FILE_TYPES; type++) {
    char name[8] = "";
    for (size_t i = 0; file_type_name((FileType)type)[i]; i++)
      name[i] = (char)tolower((unsigned char)file_type_name((FileType)type)[i]);
    if (numbers[type]) set_number(L, name, numbers[type]);
  }
  lua_setfield(L, -2, "dtypes");
  set_number(L, "bytes", bytes);
  set_number(L, "time_states", states);
}

static void push_meta(lua_State *L, const TensorFile *f)
{
  const char *key, *text;
  lua_newtable(L);
  for (int i = 0; (text = file_meta_at(f, i, &key)); i++) set_text(L, key, text);
  lua_setfield(L, -2, "meta");
}

/* model_info(path, hooks by slot or nil, head size or nil) -> {config = {version =, layers =, ..}, title =, format =,
   family =, prefix =, outside =, tensors =, dtypes = {bf16 = numbers}, bytes =, time_states =, parameters =, unused =,
   state_floats =, meta =} */
static int model_info(lua_State *L)
{
  const char *path = luaL_checkstring(L, 1);
  int head_size = opt_int_argument(L, 3, 1, 1 << 20, 0, "info: head_size");
  Dims d = {0};
  lua_settop(L, 2);
  read_hooks(L, 2, NULL, &d);
  Look l = {.options = {.hooks = &d, .head_size = head_size}};
  TensorFile **held = push_file(L);
  l.file = *held = file_open(path);
  const char *error = rwkv_protect(look, &l);
  if (error) file_fail(l.file, error);
  const Names names = names_official(l.file);
  lua_newtable(L);
  push_config(L, l.fit.version, &l.fit.d);
  lua_setfield(L, -2, "config");
  set_text(L, "title", l.fit.version->title);
  set_text(L, "format", file_format(l.file));
  set_text(L, "family", names.family);
  set_text(L, "prefix", names.prefix);
  set_number(L, "outside", (size_t)names.outside);
  set_number(L, "tensors", (size_t)file_count(l.file));
  push_tensors(L, l.file);
  push_meta(L, l.file);
  set_number(L, "parameters", l.counts.params);
  set_number(L, "unused", l.spare);
  set_number(L, "state_floats", l.counts.state);
  return 1;
}

void open_model_info(lua_State *L) { add_private(L, (luaL_Reg[]){{"model_info", model_info}, {NULL, NULL}}); }

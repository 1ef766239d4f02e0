/* Training sessions in files: models, optimizers, tensors and tokens in one go. lua/rwkv/session.lua says what stands
   where. */
#include "bind.h"

#include <stdio.h>

/* One object of a session, and its name in the file: of a model what stands before the names of its parameters. */
typedef struct {
  const char *name;
  Model *model; /* one of these */
  Optim *optim;
  Tensor *tensor;
  const Tokens *tokens;
} Object;

enum { NAME = OPT_NAME + 40 };

typedef struct {
  Object *object;
  lua_Integer count;
  lua_State *L; /* on top of its stack a table of texts */
  FileWriter *w;
  TensorFile *f;
} Session;

/* The list {{name =, value =}, ..} at index, in memory of Lua's on top of the stack. */
static Session read_objects(lua_State *L, int list)
{
  luaL_checktype(L, list, LUA_TTABLE);
  Session s = {.L = L, .count = list_length(L, list)};
  s.object = lua_newuserdatauv(L, (size_t)s.count * sizeof *s.object + 1, 0);
  memset(s.object, 0, (size_t)s.count * sizeof *s.object);
  int top = lua_gettop(L);
  for (lua_Integer i = 0; i < s.count; i++, lua_settop(L, top)) {
    Object *o = &s.object[i];
    lua_rawgeti(L, list, i + 1);
    luaL_checktype(L, top + 1, LUA_TTABLE);
    raw_field(L, top + 1, "name");
    o->name = luaL_checkstring(L, -1);
    if (strlen(o->name) > OPT_NAME / 2) luaL_error(L, "session: '%s' is too long for a name", o->name);
    raw_field(L, top + 1, "value");
    if (luaL_testudata(L, -1, "rwkv.model")) o->model = check_model(L, -1);
    else if (luaL_testudata(L, -1, "rwkv.optimizer")) o->optim = check_optim(L, -1);
    else if (is_tensor(L, -1)) o->tensor = check_numbers(L, -1);
    else if (!(o->tokens = test_tokens(L, -1))) luaL_error(L, "session: '%s' cannot be saved", o->name);
    if (o->model && o->model->inference) luaL_error(L, "session: a model for inference has nothing to train");
  }
  return s;
}

/* ---- writing ---- */

static void write_model(const Session *s, const Object *o)
{
  char name[NAME];
  if (!*o->name) model_write(o->model, s->w);
  for (int i = 0; i < o->model->count && *o->name; i++) {
    snprintf(name, sizeof name, "%s.%s", o->name, o->model->params[i].name);
    writer_put_tensor(s->w, name, o->model->params[i].t);
  }
}

static void write_protected(void *arg)
{
  Session *s = arg;
  for (lua_Integer i = 0; i < s->count; i++) {
    const Object *o = &s->object[i];
    if (o->model) write_model(s, o);
    if (o->optim) opt_write(o->optim, o->name, s->w);
    if (o->tensor) writer_put_tensor(s->w, o->name, o->tensor);
    if (o->tokens) writer_put_ints(s->w, o->name, 2, (int[]){o->tokens->B, o->tokens->T}, o->tokens->id);
  }
  for (lua_pushnil(s->L); lua_next(s->L, -2); lua_pop(s->L, 1))
    writer_put_meta(s->w, lua_tostring(s->L, -2), lua_tostring(s->L, -1));
}

/* write_session(path, list of {name =, value = model, optimizer, tensor or tokens}, {key = text}) */
static int write_session(lua_State *L)
{
  const char *path = luaL_checkstring(L, 1);
  check_writable(L, path);
  luaL_checktype(L, 3, LUA_TTABLE);
  Session s = read_objects(L, 2);
  lua_pushvalue(L, 3);
  s.w = writer_create(path); /* from here on Lua allocates nothing */
  const char *error = rwkv_protect(write_protected, &s);
  if (!error) return writer_finish(s.w), 0;
  writer_abandon(s.w);
  return luaL_error(L, "%s", error);
}

/* ---- reading ---- */

/* The tensor of that name, of the shape of t; from what this precision wrote. */
static const FileTensor *find(const Session *s, const char *name, const Tensor *t)
{
  const FileTensor *e = file_find(s->f, name);
  if (!e) rwkv_fail("%s: %s is missing", file_path(s->f), name);
  if (e->axes != t->axes || memcmp(e->shape, t->shape, (size_t)t->axes * sizeof *t->shape))
    rwkv_fail("%s: %s is %s, expected %s", file_path(s->f), name,
              e->axes <= MAX_AXES ? shape_text(e->axes, e->shape) : "of more axes", tensor_shape(t));
  if (!file_is_floating(e->type)) rwkv_fail("%s: %s is of type %s", file_path(s->f), name, file_type_name(e->type));
  return e;
}

static void restore_tensor(const Session *s, const char *name, Tensor *t, bool apply)
{
  const FileTensor *e = find(s, name, t);
  if (apply) file_read_tensor(s->f, e, t);
}

static void read_protected(void *arg)
{
  const Session *s = arg;
  char name[NAME];
  for (int apply = 0; apply <= 1; apply++) /* everything is looked at before anything is changed */
    for (lua_Integer i = 0; i < s->count; i++) {
      const Object *o = &s->object[i];
      for (int j = 0; o->model && j < o->model->count; j++) {
        const Param *p = &o->model->params[j];
        snprintf(name, sizeof name, "%s%s%s", o->name, *o->name ? "." : "", p->name);
        restore_tensor(s, name, p->t, apply);
      }
      if (o->tensor) restore_tensor(s, o->name, o->tensor, apply);
      if (o->optim) (apply ? opt_restore : opt_check)(o->optim, o->name, s->f);
    }
}

static int read_session(lua_State *L) /* read_session(path, list of {name =, value =}): into what is there */
{
  const char *path = luaL_checkstring(L, 1);
  Session s = read_objects(L, 2);
  s.f = file_open(path);
  const char *error = rwkv_protect(read_protected, &s);
  file_close(s.f);
  return error ? luaL_error(L, "%s", error) : 0;
}

void open_session(lua_State *L)
{
  add_private(L, (luaL_Reg[]){{"write_session", write_session}, {"read_session", read_session}, {NULL, NULL}});
}

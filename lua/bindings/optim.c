/* AdamW for models and lists of tensors. lua/rwkv/optimizer.lua makes rwkv.adamw of it: names, groups by name,
   schedules that are functions. */
#include "bind.h"

static const char class[] = "rwkv.optimizer";

Optim *check_optim(lua_State *L, int index)
{
  Optim **o = luaL_checkudata(L, index, class);
  if (!*o) luaL_argerror(L, index, "this optimizer is gone");
  return *o;
}

/* ---- making ---- */

/* A rate that is a function is asked for before every step. */
static bool has_function(lua_State *L, int table)
{
  bool is = raw_field(L, table, "lr") == LUA_TFUNCTION;
  lua_pop(L, 1);
  return is;
}

static void read_betas(lua_State *L, int table, OptConfig *c)
{
  if (raw_field(L, table, "betas") == LUA_TNIL) return;
  int ok1 = 0, ok2 = 0;
  if (lua_istable(L, -1) && check_list(L, -1, "betas") == 2) {
    lua_rawgeti(L, -1, 1);
    lua_rawgeti(L, -2, 2);
    c->beta1 = lua_tonumberx(L, -2, &ok1);
    c->beta2 = lua_tonumberx(L, -1, &ok2);
  }
  if (!ok1 || !ok2) luaL_error(L, "betas: expected a list of two numbers");
}

static OptConfig read_config(lua_State *L, int table)
{
  luaL_checktype(L, table, LUA_TTABLE);
  known_fields(L, table, "rwkv.adamw",
               (const char *const[]){"lr", "betas", "eps", "weight_decay", "clip", "warmup", "total", "final",
                                     "decay_all", "groups", NULL});
  bool function = has_function(L, table);
  OptConfig c = {.lr = function ? 0 : number_field(L, table, "lr", 1e-3),
                 .beta1 = 0.9,
                 .beta2 = 0.99,
                 .eps = number_field(L, table, "eps", 1e-8),
                 .weight_decay = number_field(L, table, "weight_decay", 0),
                 .clip = number_field(L, table, "clip", 0),
                 .warmup = integer_field(L, table, "warmup", 0),
                 .total = integer_field(L, table, "total", 0),
                 .final = number_field(L, table, "final", 0)};
  if (function && (c.warmup || c.total || c.final > 0))
    luaL_error(L,
               "adamw: lr is a function, and so is the whole schedule: there is nothing for warmup, total and final");
  if (c.total && c.warmup > c.total)
    luaL_error(L, "adamw: warmup is %d, expected at most total, which is %d", c.warmup, c.total);
  c.decay_all = boolean_field(L, table, "adamw", "decay_all");
  read_betas(L, table, &c);
  return c;
}

/* The value of entry i of the list {{name =, value = model or tensor}, ..} is pushed, and then its name. */
static const char *push_source(lua_State *L, int list, lua_Integer i)
{
  lua_rawgeti(L, list, i);
  int entry = lua_gettop(L);
  luaL_checktype(L, entry, LUA_TTABLE);
  raw_field(L, entry, "value");
  raw_field(L, entry, "name");
  lua_remove(L, entry);
  return luaL_checkstring(L, -1);
}

enum { MOST_TENSORS = 20000 }; /* each is compared with each */

static int count_params(lua_State *L, int list)
{
  lua_Integer count = 0;
  for (lua_Integer i = 1; i <= list_length(L, list); i++, lua_pop(L, 2)) {
    const char *name = push_source(L, list, i);
    bool tensor = is_tensor(L, -2);
    if (tensor && ((TensorHandle *)lua_touserdata(L, -2))->scope)
      luaL_error(L, "adamw: '%s' was computed, and is gone with its step: give what was created", name);
    if (tensor && !check_numbers(L, -2)->needs_grad)
      luaL_error(L, "adamw: '%s' needs no gradient: call :requires_grad() before, or leave it out", name);
    check_lasting(L, -2);
    if (strlen(name) >= OPT_NAME - 130) luaL_error(L, "adamw: '%s' is too long for a name", name);
    count += tensor ? 1 : check_model(L, -2)->count;
    if (count > MOST_TENSORS) luaL_error(L, "adamw: more than %d tensors", MOST_TENSORS);
  }
  return (int)count;
}

static void add_params(lua_State *L, int list, Optim *o)
{
  int at = 0;
  for (lua_Integer i = 1; i <= list_length(L, list); i++, lua_pop(L, 2)) {
    const char *name = push_source(L, list, i);
    if (is_tensor(L, -2)) {
      opt_add(o, at++, name, check_tensor(L, -2), 1, true);
      continue;
    }
    Model *m = check_model(L, -2);
    model_opt_add(m, o, at, *name ? lua_pushfstring(L, "%s.", name) : (lua_pushliteral(L, ""), ""));
    lua_pop(L, 1);
    at += m->count;
  }
  for (int i = 0; i < o->count; i++)
    for (int j = 0; j < i; j++)
      if (o->params[i].p == o->params[j].p)
        luaL_error(L, "adamw: '%s' and '%s' are the same tensor", o->params[j].name, o->params[i].name);
}

/* What the table of group g says, into g and its parameters; with `apply` false it is only looked at. */
static void read_group(lua_State *L, int group, Optim *o, int g, bool apply)
{
  const char *title = lua_pushfstring(L, "rwkv.adamw: group %d", g);
  known_fields(L, group, title, (const char *const[]){"match", "lr", "multiple", "weight_decay", "freeze", NULL});
  bool function = has_function(L, group), own = raw_field(L, group, "lr") != LUA_TNIL;
  double lr = function ? 0 : number_field(L, group, "lr", 0), multiple = number_field(L, group, "multiple", -1),
         decay = number_field(L, group, "weight_decay", -1);
  bool freeze = boolean_field(L, group, title, "freeze");
  const struct {
    const char *name;
    double value;
  } ranges[] = {{"lr", lr}, {"multiple", multiple}, {"weight_decay", decay}};
  for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
    bool given = raw_field(L, group, ranges[i].name) != LUA_TNIL;
    if (given && !(ranges[i].value >= 0 && ranges[i].value <= 1e6))
      luaL_error(L, "adamw: group %d: %s is %f, expected 0 to 1e6", g, ranges[i].name, ranges[i].value);
  }
  if (own) opt_group_lr(o, g, lr);
  for (int i = 0; i < o->count && apply; i++) {
    OptParam *q = &o->params[i];
    if (q->group != g) continue;
    if (own) q->lr_scale = 1;
    if (multiple >= 0) q->lr_scale = multiple;
    if (decay >= 0) q->decay = decay;
    if (freeze) tensor_need_no_grad(q->p);
  }
}

static void read_groups(lua_State *L, int options, Optim *o)
{
  raw_field(L, options, "groups");
  int groups = lua_gettop(L);
  for (int apply = 0; apply <= 1; apply++) /* nothing is frozen if a group is wrong */
    for (int g = 1; g < o->group_count; g++) {
      lua_rawgeti(L, groups, g);
      read_group(L, lua_gettop(L), o, g, apply);
      lua_settop(L, groups);
    }
}

/* optimizer(list of {name =, value = tensor or model}, options, list of the group of each parameter, how many) */
static int make(lua_State *L)
{
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 3, LUA_TTABLE);
  OptConfig c = read_config(L, 2);
  int groups = int_argument(L, 4, 0, 10000, "adamw: groups"), count = count_params(L, 1);
  Optim **handle = lua_newuserdatauv(L, sizeof *handle, 1), *o;
  *handle = NULL;
  luaL_setmetatable(L, class);
  int result = lua_gettop(L);
  lua_pushvalue(L, 1); /* what is optimized must not go before its optimizer */
  if (list_length(L, 1) == 1) push_source(L, 1, 1), lua_pop(L, 1);
  lua_setiuservalue(L, result, 1);
  o = *handle = opt_new(&c, count, groups);
  add_params(L, 1, o);
  for (int i = 0; i < count; i++) {
    lua_rawgeti(L, 3, i + 1);
    o->params[i].group = int_argument(L, -1, 0, groups, "adamw: the group");
    lua_pop(L, 1);
  }
  read_groups(L, 2, o);
  lua_settop(L, result);
  return 1;
}

/* ---- steps and rates ---- */

/* optimizer_step(opt, rates of all groups or nil) -> norm of the gradient before clipping; ends the step */
static int step(lua_State *L)
{
  Optim *o = check_optim(L, 1);
  double *rates = NULL;
  if (!lua_isnoneornil(L, 2)) {
    rates = lua_newuserdatauv(L, (size_t)o->group_count * sizeof *rates, 0);
    for (int g = 0; g < o->group_count; g++) {
      lua_rawgeti(L, 2, g + 1);
      rates[g] = luaL_checknumber(L, -1);
      lua_pop(L, 1);
    }
  }
  step_end(L);
  lua_pushnumber(L, opt_step(o, rates));
  return 1;
}

static int zero_grad(lua_State *L) /* opt:zero_grad() */
{
  opt_zero_grad(check_optim(L, 1));
  return 0;
}

static int set_rate(lua_State *L) /* set_rate(opt, rate, group) */
{
  Optim *o = check_optim(L, 1);
  opt_set_rate(o, int_argument(L, 3, 0, o->group_count - 1, "rate: the group"), luaL_checknumber(L, 2));
  return 0;
}

/* rates(opt) -> of each group from 0 on {rate = of the next step, set = by set_rate, own = or else that of group 0} */
static int rates(lua_State *L)
{
  const Optim *o = check_optim(L, 1);
  lua_createtable(L, o->group_count, 0);
  for (int g = 0; g < o->group_count; g++) {
    lua_createtable(L, 0, 3);
    lua_pushnumber(L, opt_rate(o, g));
    lua_setfield(L, -2, "rate");
    lua_pushboolean(L, o->groups[g].set);
    lua_setfield(L, -2, "set");
    lua_pushboolean(L, o->groups[g].own);
    lua_setfield(L, -2, "own");
    lua_rawseti(L, -2, g + 1);
  }
  return 1;
}

/* parameters(opt) -> list of {name =, group =, multiple =, weight_decay =, frozen =, steps =} */
static int parameters(lua_State *L)
{
  const Optim *o = check_optim(L, 1);
  lua_createtable(L, o->count, 0);
  for (int i = 0; i < o->count; i++) {
    const OptParam *q = &o->params[i];
    lua_createtable(L, 0, 6);
    lua_pushstring(L, q->name);
    lua_setfield(L, -2, "name");
    lua_pushinteger(L, q->group);
    lua_setfield(L, -2, "group");
    lua_pushnumber(L, q->lr_scale);
    lua_setfield(L, -2, "multiple");
    lua_pushnumber(L, q->decay);
    lua_setfield(L, -2, "weight_decay");
    lua_pushboolean(L, !q->p->needs_grad);
    lua_setfield(L, -2, "frozen");
    lua_pushinteger(L, q->steps);
    lua_setfield(L, -2, "steps");
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

static int steps(lua_State *L) /* opt:steps() -> steps taken */
{
  lua_pushinteger(L, check_optim(L, 1)->step);
  return 1;
}

/* ---- files ---- */

typedef struct {
  Optim *o;
  FileWriter *w;
  TensorFile *f;
} File;

static void save_protected(void *arg) { opt_write(((File *)arg)->o, "optim.", ((File *)arg)->w); }

static int save(lua_State *L) /* opt:save(path): moments, steps, rates that were set, what is frozen */
{
  File f = {.o = check_optim(L, 1)};
  const char *path = luaL_checkstring(L, 2);
  check_writable(L, path);
  f.w = writer_create(path);
  const char *error = rwkv_protect(save_protected, &f);
  if (!error) return writer_finish(f.w), 0;
  writer_abandon(f.w);
  return luaL_error(L, "%s", error);
}

static void restore_protected(void *arg) { opt_restore(((File *)arg)->o, "optim.", ((File *)arg)->f); }

static int restore(lua_State *L) /* opt:restore(path): what opt:save or model:save wrote */
{
  File f = {.o = check_optim(L, 1)};
  f.f = file_open(luaL_checkstring(L, 2));
  const char *error = rwkv_protect(restore_protected, &f);
  file_close(f.f);
  return error ? luaL_error(L, "%s", error) : 0;
}

static int collect(lua_State *L)
{
  Optim **o = luaL_checkudata(L, 1, class);
  opt_free(*o);
  *o = NULL;
  return 0;
}

void open_optim(lua_State *L)
{
  /* clang-format off */
  add_class(L, class,
            (luaL_Reg[]){{"zero_grad", zero_grad}, {"steps", steps}, {"save", save},
                         {"restore", restore}, {NULL, NULL}},
            (luaL_Reg[]){{"__gc", collect}, {NULL, NULL}});
  add_private(L, (luaL_Reg[]){{"optimizer", make}, {"optimizer_step", step}, {"set_rate", set_rate}, {"rates", rates},
                              {"optimized", parameters}, {NULL, NULL}});
  /* clang-format on */
}

/* AdamW for a model. */
#include "bind.h"

static const char class[] = "rwkv.optimizer";

Optim *check_optim(lua_State *L, int index)
{
  Optim **o = luaL_checkudata(L, index, class);
  if (!*o) luaL_argerror(L, index, "this optimizer is gone");
  return *o;
}

/* adamw(model, {lr =, betas = {b1, b2}, eps =, weight_decay =, clip =, warmup =, total =, final =, decay_all =}) */
static int make(lua_State *L)
{
  Model *m = check_model(L, 1);
  check_lasting(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  known_fields(L, 2, "rwkv.adamw",
               (const char *const[]){"lr", "betas", "eps", "weight_decay", "clip", "warmup", "total", "final",
                                     "decay_all", NULL});
  OptConfig c = {.lr = number_field(L, 2, "lr", 1e-3),
                 .beta1 = 0.9,
                 .beta2 = 0.99,
                 .eps = number_field(L, 2, "eps", 1e-8),
                 .weight_decay = number_field(L, 2, "weight_decay", 0),
                 .clip = number_field(L, 2, "clip", 0),
                 .warmup = integer_field(L, 2, "warmup", 0),
                 .total = integer_field(L, 2, "total", 0),
                 .final = number_field(L, 2, "final", 0)};
  raw_field(L, 2, "decay_all");
  c.decay_all = keep_argument(L, -1);
  if (raw_field(L, 2, "betas") != LUA_TNIL) {
    if (!lua_istable(L, -1)) return luaL_error(L, "betas: expected a list of two numbers");
    int ok1, ok2;
    lua_rawgeti(L, -1, 1);
    lua_rawgeti(L, -2, 2);
    c.beta1 = lua_tonumberx(L, -2, &ok1);
    c.beta2 = lua_tonumberx(L, -1, &ok2);
    if (!ok1 || !ok2) return luaL_error(L, "betas: expected a list of two numbers");
  }
  Optim **o = lua_newuserdatauv(L, sizeof *o, 1);
  *o = NULL;
  luaL_setmetatable(L, class);
  lua_pushvalue(L, 1); /* the model must not go before its optimizer */
  lua_setiuservalue(L, -2, 1);
  *o = model_optimizer(m, &c);
  return 1;
}

static int step(lua_State *L) /* opt:step() -> norm of the gradient before clipping; ends the step */
{
  Optim *o = check_optim(L, 1);
  step_end(L);
  lua_pushnumber(L, opt_step(o));
  return 1;
}

static int zero_grad(lua_State *L) /* opt:zero_grad() */
{
  opt_zero_grad(check_optim(L, 1));
  return 0;
}

static int rate(lua_State *L) /* opt:rate() -> learning rate of the next step */
{
  const Optim *o = check_optim(L, 1);
  lua_pushnumber(L, opt_rate(&o->cfg, o->step));
  return 1;
}

static int steps(lua_State *L) /* opt:steps() -> steps taken */
{
  lua_pushinteger(L, check_optim(L, 1)->step);
  return 1;
}

static void restore_protected(void *arg) /* (optimizer, model, file) */
{
  void **p = arg;
  opt_restore(p[0], p[1], p[2]);
}

static int restore(lua_State *L) /* opt:restore(path): moments and step from a checkpoint */
{
  Optim *o = check_optim(L, 1);
  const char *path = luaL_checkstring(L, 2);
  lua_getiuservalue(L, 1, 1);
  Model *m = check_model(L, -1);
  TensorFile *f = file_open(path);
  const char *error = rwkv_protect(restore_protected, (void *[]){o, m, f});
  file_close(f);
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
            (luaL_Reg[]){{"step", step}, {"zero_grad", zero_grad}, {"rate", rate}, {"steps", steps},
                         {"restore", restore}, {NULL, NULL}},
            (luaL_Reg[]){{"__gc", collect}, {NULL, NULL}});
  /* clang-format on */
  add_functions(L, (luaL_Reg[]){{"adamw", make}, {NULL, NULL}});
}

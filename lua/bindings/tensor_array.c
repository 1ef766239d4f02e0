/* Tensors as arrays: rows x[i], axes, picking, comparing and choosing, ranges. Shapes and errors: see
   lua/pages/tensor.md and ref/engine/tape.h. */
#include "bind.h"

#include <math.h>

static const char class[] = "rwkv.tensor";

/* ---- rows ---- */

static int op_row(lua_State *L) /* x[i], i from 1 or from -1 at the end -> x without its first axis */
{
  Tape *tp = step_tape(L);
  Tensor *x = check_operand(L, 1);
  int whole = 0;
  lua_Integer i = lua_type(L, 2) == LUA_TNUMBER ? lua_tointegerx(L, 2, &whole) : 0;
  if (!whole) return luaL_error(L, "x[%s]: expected the number of a row or the name of a method", value_text(L, 2));
  if (x->axes == 0) return luaL_error(L, "x[%I]: a tensor of shape [] has no rows", i);
  lua_Integer n = x->shape[0], at = i < 0 ? i + n : i - 1;
  if (at < 0 || at >= n)
    return luaL_error(L, "x[%I]: %s has rows 1 to %I (or -1 to -%I from the end)", i, tensor_shape(x), n, n);
  return push_step(L, t_reshape(tp, t_slice(tp, x, 0, (int)at, 1), x->axes - 1, x->shape + 1));
}

static int op_length(lua_State *L) /* #x: how many rows */
{
  const Tensor *x = check_tensor(L, 1);
  if (x->axes == 0) return luaL_error(L, "#x: a tensor of shape [] has no rows");
  lua_pushinteger(L, x->shape[0]);
  return 1;
}

static int next_row(lua_State *L) /* (x, i) -> i + 1, row; nothing after the last one */
{
  lua_Integer i = luaL_checkinteger(L, 2) + 1;
  if (i > luaL_len(L, 1)) return 0;
  lua_pushinteger(L, i);
  lua_geti(L, 1, i);
  return 2;
}

static int op_pairs(lua_State *L) /* for i, row in pairs(x) do */
{
  lua_pushcfunction(L, next_row);
  lua_pushvalue(L, 1);
  lua_pushinteger(L, 0);
  return 3;
}

static int op_assign(lua_State *L)
{
  if (lua_type(L, 2) == LUA_TSTRING)
    return luaL_error(L, "x.%s = ...: a tensor has no fields; a method of your own goes into rwkv.Tensor",
                      lua_tostring(L, 2));
  return luaL_error(L, "x[%s] = ...: a tensor's numbers are overwritten all together, with :set()", value_text(L, 2));
}

/* Whether ipairs, or another function of C that looks for the end of a list, asks for what comes after the last row. */
static bool looks_for_end(lua_State *L)
{
  lua_Debug caller;
  const TensorHandle *h = luaL_testudata(L, 1, class);
  bool alive = h && h->t && (!h->scope || step_alive(L, h->scope));
  if (!alive || !h->t->axes || !lua_isinteger(L, 2) || lua_tointeger(L, 2) != h->t->shape[0] + (lua_Integer)1)
    return false;
  return lua_getstack(L, 1, &caller) && lua_getinfo(L, "S", &caller) && *caller.what == 'C';
}

/* upvalues: the methods, op_row. A name is looked up at once: that touches no tensor. What a script added comes
   after. */
static int op_index(lua_State *L)
{
  lua_settop(L, 2);
  if (lua_type(L, 2) == LUA_TSTRING) {
    lua_pushvalue(L, 2);
    if (lua_gettable(L, lua_upvalueindex(1)) != LUA_TNIL) return 1;
    return unknown_method(L, "tensor", lua_upvalueindex(1), 2);
  }
  if (looks_for_end(L)) return 0;
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 1);
  if (lua_pcall(L, 2, 1, 0) == LUA_OK) return 1;
  luaL_where(L, 1); /* op_row was not called by the script */
  lua_insert(L, -2);
  lua_concat(L, 2);
  return lua_error(L);
}

/* ---- axes and picking ---- */

static int op_bmm(lua_State *L) /* a [..,M,K] :bmm(b [..,K,N]) -> [..,M,N]; one of them may be a single matrix */
{
  Tape *tp = step_tape(L);
  Tensor *a = check_operand(L, 1), *b = check_operand(L, 2);
  return push_step(L, t_bmm(tp, a, b));
}

static int op_transpose(lua_State *L) /* x:transpose(axis1, axis2), by default the last two */
{
  Tape *tp = step_tape(L);
  Tensor *x = check_operand(L, 1);
  lua_settop(L, 3);
  if (lua_isnil(L, 2) && lua_isnil(L, 3)) return push_step(L, t_transpose(tp, x, -2, -1));
  int a = axis_argument(L, 2, x), b = axis_argument(L, 3, x);
  return push_step(L, t_transpose(tp, x, a, b));
}

static int op_permute(lua_State *L) /* x:permute(axes...): all of them, in the order they shall have */
{
  Tape *tp = step_tape(L);
  Tensor *x = check_operand(L, 1);
  int order[MAX_AXES];
  if (lua_gettop(L) - 1 != x->axes)
    return luaL_error(L, "permute: %d axes named, %s has %d", lua_gettop(L) - 1, tensor_shape(x), x->axes);
  for (int i = 0; i < x->axes; i++) order[i] = axis_argument(L, i + 2, x);
  return push_step(L, t_permute(tp, x, order));
}

static int op_max(lua_State *L) /* x:max() -> []; x:max(axis, keep) */
{
  Tape *tp = step_tape(L);
  Tensor *x = check_operand(L, 1);
  if (lua_isnoneornil(L, 2)) return push_step(L, t_max(tp, t_reshape(tp, x, 1, (int[]){-1}), 0, false));
  return push_step(L, t_max(tp, x, axis_argument(L, 2, x), keep_argument(L, 3)));
}

static int op_gather(lua_State *L) /* x [B,n] :gather(index [B,count], from 0) -> [B,count] */
{
  Tape *tp = step_tape(L);
  Tensor *x = check_operand(L, 1);
  const Tokens *index = check_tokens(L, 2, "index");
  if (x->axes < 1 || x->shape[x->axes - 1] < 1 || x->n / (size_t)x->shape[x->axes - 1] != (size_t)index->B)
    return luaL_error(L, "gather: index [%d,%d] needs one row for each row of x %s", index->B, index->T,
                      tensor_shape(x));
  return push_step(L, t_gather(tp, x, index->id, index->T));
}

static int op_reshape(lua_State *L) /* x:reshape(sizes...), one of them may be -1 */
{
  Tape *tp = step_tape(L);
  Tensor *x = check_operand(L, 1);
  int shape[MAX_AXES], axes = shape_arguments(L, 2, shape);
  return push_step(L, t_reshape(tp, x, axes, shape));
}

static int op_slice(lua_State *L) /* x:slice(axis, first, last or -1): both included, as string.sub */
{
  Tape *tp = step_tape(L);
  Tensor *x = check_operand(L, 1);
  int axis = axis_argument(L, 2, x);
  lua_Integer n = x->shape[axis], first = luaL_checkinteger(L, 3), last = luaL_optinteger(L, 4, -1);
  if (first < 0) first += n + 1;
  if (last < 0) last += n + 1;
  if (first < 1 || last > n || last < first - 1)
    return luaL_error(L, "slice: %I to %I is not within 1 to %I (axis %d of %s)", first, last, n, axis + 1,
                      tensor_shape(x));
  return push_step(L, t_slice(tp, x, axis, (int)first - 1, (int)(last - first + 1)));
}

static int op_concat(lua_State *L) /* concat({tensors}, axis) */
{
  Tape *tp = step_tape(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_Integer n = check_list(L, 1, "concat");
  if (n < 1 || n > 10000) return luaL_error(L, "concat: %I tensors, expected 1 to 10000", n);
  Tensor **parts = arena_alloc(&tp->arena, (size_t)n * sizeof *parts);
  for (int i = 0; i < n; i++) {
    lua_rawgeti(L, 1, i + 1);
    parts[i] = check_operand(L, -1);
    lua_pop(L, 1);
  }
  return push_step(L, t_concat(tp, parts, (int)n, axis_argument(L, 2, parts[0])));
}

static int op_expand(lua_State *L) /* x:expand(sizes...): repeated where x has size 1; -1: as it is */
{
  Tape *tp = step_tape(L);
  Tensor *x = check_operand(L, 1);
  int shape[MAX_AXES], axes = shape_arguments(L, 2, shape);
  return push_step(L, t_expand(tp, x, axes, shape));
}

static int op_cumsum(lua_State *L) /* x:cumsum(axis) */
{
  Tape *tp = step_tape(L);
  Tensor *x = check_operand(L, 1);
  return push_step(L, t_cumsum(tp, x, axis_argument(L, 2, x)));
}

/* ---- comparing and choosing ---- */

static int compare(lua_State *L, CompareKind kind)
{
  Tape *tp = step_tape(L);
  Tensor *a = operand_or_number(L, 1, tp), *b = operand_or_number(L, 2, tp);
  return push_step(L, t_compare(tp, kind, a, b));
}

/* x:gt(y) -> 1 where x > y, otherwise 0 */
#define COMPARE(name, kind) \
  static int op_##name(lua_State *L) { return compare(L, kind); }
COMPARE(gt, C_GT)
COMPARE(ge, C_GE)
COMPARE(lt, C_LT)
COMPARE(le, C_LE)
COMPARE(eq, C_EQ)
COMPARE(ne, C_NE)

static int op_where(lua_State *L) /* where(mask, a, b): a where the mask is 1, b where it is 0; tensors or numbers */
{
  Tape *tp = step_tape(L);
  Tensor *mask = check_operand(L, 1), *a = operand_or_number(L, 2, tp), *b = operand_or_number(L, 3, tp);
  push_step(L, t_where(tp, mask, a, b));
  check_range(L, "where", "the mask", mask, &zero_or_one);
  return 1;
}

/* ---- creation ---- */

static int make_arange(lua_State *L) /* arange(stop) or arange(start, stop, step or 1): stop is not included */
{
  bool one = lua_isnoneornil(L, 2);
  double start = one ? 0 : luaL_checknumber(L, 1), stop = luaL_checknumber(L, one ? 1 : 2);
  double step = luaL_optnumber(L, 3, 1), count = ceil((stop - start) / step);
  if (!(count >= 0 && count <= 2147483647.0))
    return luaL_error(L, "arange: from %f to %f in steps of %f", start, stop, step);
  Writer w = {.t = new_owned(L, 1, (int[]){(int)count})};
  while (w.at < w.t->n) put_number(&w, (real)(start + (double)w.at * step));
  return 1;
}

static int make_eye(lua_State *L) /* eye(n): 1 on the diagonal of [n,n] */
{
  int shape[MAX_AXES], axes = shape_arguments(L, 1, shape);
  if (axes != 1 || shape[0] < 0) return luaL_error(L, "eye: expected one size, at least 0");
  Tensor *t = new_owned(L, 2, (int[]){shape[0], shape[0]});
  real one = 1;
  for (size_t i = 0; i < (size_t)shape[0]; i++) tensor_write(t, i * ((size_t)shape[0] + 1), 1, &one);
  return 1;
}

void open_tensor_array(lua_State *L)
{
  /* clang-format off */
  static const luaL_Reg methods[] = {
      {"bmm", op_bmm}, {"transpose", op_transpose}, {"t", op_transpose}, {"permute", op_permute}, {"max", op_max},
      {"gather", op_gather}, {"reshape", op_reshape}, {"view", op_reshape}, {"slice", op_slice}, {"expand", op_expand},
      {"cumsum", op_cumsum}, {"gt", op_gt}, {"ge", op_ge}, {"lt", op_lt}, {"le", op_le}, {"eq", op_eq}, {"ne", op_ne},
      {NULL, NULL}};
  /* clang-format on */
  add_methods(L, class, methods);
  lua_getfield(L, -1, "Tensor");
  luaL_getmetatable(L, class);
  add_functions(
      L,
      (luaL_Reg[]){
          {"__len", op_length}, {"__newindex", op_assign}, {"__index", op_row}, {"__pairs", op_pairs}, {NULL, NULL}});
  lua_insert(L, -2);              /* metatable, methods */
  lua_getfield(L, -2, "__index"); /* op_row behind its guard */
  lua_pushcclosure(L, op_index, 2);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  add_functions(
      L, (luaL_Reg[]){
             {"concat", op_concat}, {"where", op_where}, {"arange", make_arange}, {"eye", make_eye}, {NULL, NULL}});
}

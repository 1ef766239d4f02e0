/* Tensors as Lua values: creation, access, printing. Axes count from 1, or from -1 at the end. */
#include "bind.h"

#include <limits.h>
#include <stdlib.h>

static const char class[] = "rwkv.tensor";

bool is_tensor(lua_State *L, int index) { return luaL_testudata(L, index, class) != NULL; }

Tensor *check_tensor(lua_State *L, int index)
{
  TensorHandle *h = luaL_checkudata(L, index, class);
  if (!h->t || (h->scope && !step_alive(L, h->scope)))
    luaL_argerror(L, index,
                  "this tensor was computed in a step that is over; take its numbers with :item() "
                  "or :tolist() before, or hold on to them with :keep()");
  return h->t;
}

Tensor *check_numbers(lua_State *L, int index)
{
  Tensor *t = check_tensor(L, index);
  /* clang-format off */
  if (t->packed.bits)
    luaL_argerror(L, index, lua_pushfstring(L, "this matrix is kept as %s, for inference only: read it with :tolist(), "
                                               "or take a copy with :keep()", storage_names[t->packed.storage]));
  /* clang-format on */
  return t;
}

Tensor *check_operand(lua_State *L, int index)
{
  Tensor *t = check_numbers(L, index);
  if (!((TensorHandle *)lua_touserdata(L, index))->scope) step_pin(L, index);
  return t;
}

Tensor *opt_operand(lua_State *L, int index) { return lua_isnoneornil(L, index) ? NULL : check_operand(L, index); }

Tensor *operand_or_number(lua_State *L, int index, Tape *tp)
{
  if (lua_type(L, index) != LUA_TNUMBER) return check_operand(L, index);
  return tape_number(tp, lua_tonumber(L, index));
}

static TensorHandle *new_handle(lua_State *L)
{
  TensorHandle *h = lua_newuserdatauv(L, sizeof *h, 1);
  *h = (TensorHandle){NULL, false, 0};
  luaL_setmetatable(L, class);
  return h;
}

int push_step(lua_State *L, Tensor *t)
{
  TensorHandle *h = new_handle(L);
  h->t = t;
  h->scope = step_scope(L);
  return 1;
}

int push_owned(lua_State *L, Tensor *t)
{
  TensorHandle *h = new_handle(L);
  h->t = t;
  h->owned = true;
  remember(L, -1);
  return 1;
}

Tensor *new_owned(lua_State *L, int axes, const int *shape)
{
  push_owned(L, NULL);
  Tensor *t = tensor_new(axes, shape);
  ((TensorHandle *)lua_touserdata(L, -1))->t = t;
  return t;
}

int push_borrowed(lua_State *L, Tensor *t, int owner)
{
  owner = lua_absindex(L, owner);
  check_lasting(L, owner);
  TensorHandle *h = new_handle(L);
  h->t = t;
  remember(L, -1);
  lua_pushvalue(L, owner);
  lua_setiuservalue(L, -2, 1);
  return 1;
}

int axis_argument(lua_State *L, int index, const Tensor *t)
{
  lua_Integer axis = luaL_checkinteger(L, index);
  if (axis < -t->axes || axis == 0 || axis > t->axes)
    luaL_error(L, "axis %I: shape %s has axes 1 to %d (or -1 to -%d from the end)", axis, tensor_shape(t), t->axes,
               t->axes);
  return (int)axis + (axis < 0 ? t->axes : -1);
}

int shape_arguments(lua_State *L, int first, int shape[MAX_AXES])
{
  bool table = lua_istable(L, first);
  lua_Integer axes = table ? check_list(L, first, "sizes of a shape") : lua_gettop(L) - first + 1;
  if (table && lua_gettop(L) > first) luaL_error(L, "sizes are numbers or one list, found more after the list");
  if (axes > MAX_AXES) luaL_error(L, "a tensor has at most %d axes, not %I", MAX_AXES, axes);
  for (int i = 0; i < axes; i++) {
    if (table) lua_rawgeti(L, first, i + 1);
    else lua_pushvalue(L, first + i);
    const char *what = lua_pushfstring(L, "size %d of the shape", i + 1);
    shape[i] = int_argument(L, -2, -1, INT_MAX, what);
    lua_pop(L, 2);
  }
  return (int)axes;
}

/* ---- creation ---- */

/* Reads a nested list into the tensor, depth first. */
static void read_nested(lua_State *L, int table, Writer *w, int axis)
{
  int ok;
  const Tensor *t = w->t;
  luaL_checkstack(L, 4, "tensor");
  if (axis == t->axes) {
    real x = (real)lua_tonumberx(L, table, &ok);
    if (!ok)
      luaL_error(L, "tensor: element %I is a %s, expected a number", (lua_Integer)w->at + 1, type_text(L, table));
    put_number(w, x);
    return;
  }
  if (!lua_istable(L, table) || check_list(L, table, "tensor") != t->shape[axis])
    luaL_error(L, "tensor: lists of different lengths (expected shape %s)", tensor_shape(t));
  for (int i = 1; i <= t->shape[axis]; i++) {
    lua_rawgeti(L, table, i);
    read_nested(L, lua_gettop(L), w, axis + 1);
    lua_pop(L, 1);
  }
}

static int make_tensor(lua_State *L) /* tensor(nested list or number) */
{
  int shape[MAX_AXES], axes = 0;
  luaL_checkany(L, 1);
  if (lua_gettop(L) > 1) return luaL_error(L, "tensor: one nested list or number, found %d arguments", lua_gettop(L));
  lua_pushvalue(L, 1);
  while (lua_istable(L, -1)) {
    if (axes == MAX_AXES) return luaL_error(L, "tensor: lists nested more than %d deep", MAX_AXES);
    lua_Integer n = list_length(L, -1);
    if (n > INT_MAX) return luaL_error(L, "tensor: a list of length %I", n);
    shape[axes++] = (int)n;
    if (lua_rawgeti(L, -1, 1) == LUA_TNIL) break;
  }
  Writer w = {.t = new_owned(L, axes, shape)};
  int result = lua_gettop(L);
  read_nested(L, 1, &w, 0);
  lua_pushvalue(L, result);
  return 1;
}

static int make_full(lua_State *L) /* full(value, shape...) */
{
  int shape[MAX_AXES], axes = shape_arguments(L, 2, shape);
  real value = (real)luaL_checknumber(L, 1);
  tensor_fill(new_owned(L, axes, shape), value);
  return 1;
}

static int make_zeros(lua_State *L) /* zeros(shape...) */
{
  int shape[MAX_AXES], axes = shape_arguments(L, 1, shape);
  new_owned(L, axes, shape);
  return 1;
}

static int make_ones(lua_State *L) /* ones(shape...) */
{
  lua_pushnumber(L, 1);
  lua_insert(L, 1);
  return make_full(L);
}

static int keep(lua_State *L) /* t:keep() -> a copy of the values that outlives the step */
{
  new_copy(L, check_tensor(L, 1));
  return 1;
}

static int requires_grad(lua_State *L) /* t:requires_grad([on]) -> t */
{
  TensorHandle *h = luaL_checkudata(L, 1, class);
  Tensor *t = check_numbers(L, 1);
  if (h->scope) return luaL_error(L, "requires_grad: only what was created, not computed, can be a leaf (use :keep())");
  if (lua_isnone(L, 2) || keep_argument(L, 2)) tensor_need_grad(t);
  else tensor_need_no_grad(t);
  lua_settop(L, 1);
  return 1;
}

/* ---- access ---- */

static int item(lua_State *L) /* t:item() -> the number of a tensor with one element */
{
  const Tensor *t = check_tensor(L, 1);
  real x;
  if (t->n != 1)
    return luaL_error(L, "item: shape %s has %I elements, expected one", tensor_shape(t), (lua_Integer)t->n);
  tensor_read(t, 0, 1, &x);
  lua_pushnumber(L, x);
  return 1;
}

static void push_nested(lua_State *L, Reader *r, int axis)
{
  const Tensor *t = r->t;
  luaL_checkstack(L, 4, "tolist");
  if (axis == t->axes) {
    lua_pushnumber(L, next_number(r));
    return;
  }
  lua_createtable(L, t->shape[axis], 0);
  for (int i = 1; i <= t->shape[axis]; i++) {
    push_nested(L, r, axis + 1);
    lua_seti(L, -2, i);
  }
}

static int tolist(lua_State *L) /* t:tolist() -> nested lists */
{
  const Tensor *t = check_tensor(L, 1);
  size_t lists = 1;
  for (int i = 0; i < t->axes - 1 && t->shape[i] && lists < 1 << 24; i++) lists *= (size_t)t->shape[i];
  if (t->n < lists && lists >= 1 << 24)
    return luaL_error(L, "tolist: shape %s is too many lists for %I elements", tensor_shape(t), (lua_Integer)t->n);
  push_nested(L, &(Reader){.t = t}, 0);
  return 1;
}

/* What is written carries no gradient. Where a script could expect it to, while the tape records, it is refused. */
static void check_write(lua_State *L, const TensorHandle *to, bool from_needs_grad)
{
  if (!to->scope || !step_tape_as_it_is(L)->recording) return;
  if (to->t->needs_grad)
    luaL_error(L,
               "set: this tensor %s was computed and gradient flows through it: assign another one in its place "
               "(as in s.S = ..), or write to a copy of its values (:keep())",
               tensor_shape(to->t));
  if (from_needs_grad)
    luaL_error(L,
               "set: gradient would not flow through what is written to this tensor %s: assign it in its place (as in "
               "s.S = ..), or write its values alone (:keep())",
               tensor_shape(to->t));
}

static int set(lua_State *L) /* t:set(number, tensor of the same shape, or nested list) -> t */
{
  Tensor *t = check_tensor(L, 1);
  const Tensor *from = is_tensor(L, 2) ? check_numbers(L, 2) : NULL;
  check_write(L, lua_touserdata(L, 1), from && from->needs_grad);
  if (from) {
    if (!tensor_same_shape(t, from))
      return luaL_error(L, "set: found shape %s, expected %s", tensor_shape(from), tensor_shape(t));
    tensor_copy(t, from);
  } else if (lua_type(L, 2) == LUA_TNUMBER) {
    tensor_fill(t, (real)lua_tonumber(L, 2));
  } else {
    luaL_checktype(L, 2, LUA_TTABLE);
    Writer w = {.t = new_owned(L, t->axes, t->shape)}; /* t stays whole if the list is not */
    read_nested(L, 2, &w, 0);
    tensor_copy(t, w.t);
  }
  lua_settop(L, 1);
  return 1;
}

static int shape(lua_State *L) /* t:shape() -> {sizes} */
{
  const Tensor *t = check_tensor(L, 1);
  lua_createtable(L, t->axes, 0);
  for (int i = 0; i < t->axes; i++) {
    lua_pushinteger(L, t->shape[i]);
    lua_seti(L, -2, i + 1);
  }
  return 1;
}

static int size(lua_State *L) /* t:size() -> elements; t:size(axis) -> size of that axis */
{
  const Tensor *t = check_tensor(L, 1);
  lua_pushinteger(L, lua_isnoneornil(L, 2) ? (lua_Integer)t->n : t->shape[axis_argument(L, 2, t)]);
  return 1;
}

static int grad(lua_State *L) /* t:grad() -> a copy of the gradient, or nil */
{
  const Tensor *t = check_tensor(L, 1);
  if (!tensor_has_grad(t)) return lua_pushnil(L), 1;
  Tensor *copy = new_owned(L, t->axes, t->shape);
  real part[PART];
  for (size_t at = 0, n; at < t->n; at += n) {
    n = t->n - at < PART ? t->n - at : PART;
    tensor_read_grad(t, at, n, part);
    tensor_write(copy, at, n, part);
  }
  return 1;
}

static int zero_grad(lua_State *L) /* t:zero_grad() -> t */
{
  tensor_clear_grad(check_tensor(L, 1));
  lua_settop(L, 1);
  return 1;
}

static int collect(lua_State *L)
{
  TensorHandle *h = luaL_checkudata(L, 1, class);
  note_finalized(L, 1);
  if (h->owned) tensor_free(h->t);
  h->t = NULL;
  return 0;
}

void open_tensor(lua_State *L)
{
  /* clang-format off */
  add_class(L, class,
            (luaL_Reg[]){{"item", item}, {"tolist", tolist}, {"set", set}, {"shape", shape}, {"size", size},
                         {"grad", grad}, {"zero_grad", zero_grad}, {"keep", keep}, {"requires_grad", requires_grad},
                         {NULL, NULL}},
            (luaL_Reg[]){{"__tostring", tensor_to_string}, {"__gc", collect}, {NULL, NULL}});
  /* clang-format on */
  luaL_getmetatable(L, class);
  lua_getfield(L, -1, "__index");
  lua_setfield(L, -3, "Tensor");
  lua_pop(L, 1);
  add_functions(
      L, (luaL_Reg[]){
             {"tensor", make_tensor}, {"zeros", make_zeros}, {"ones", make_ones}, {"full", make_full}, {NULL, NULL}});
}

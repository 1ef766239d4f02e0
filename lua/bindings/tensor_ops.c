/* Operators and methods that compute. Shapes and errors: see lua/pages/tensor.md and ref/engine/tape.h. Those that
   arrange numbers stand in tensor_array.c. */
#include "bind.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>

static const char class[] = "rwkv.tensor";

/* A tensor and a number, where that is scale x + offset: without broadcasting. NULL if it is not. */
static Tensor *with_number(lua_State *L, Tape *tp, BinaryKind kind)
{
  int number = lua_type(L, 1) == LUA_TNUMBER ? 1 : 2;
  if (kind > B_MUL || lua_type(L, number) != LUA_TNUMBER || lua_type(L, 3 - number) == LUA_TNUMBER) return NULL;
  double c = lua_tonumber(L, number);
  Tensor *x = check_operand(L, 3 - number);
  if (kind == B_MUL) return t_affine(tp, x, c, 0);
  if (kind == B_ADD) return t_affine(tp, x, 1, c);
  return number == 2 ? t_affine(tp, x, 1, -c) : t_affine(tp, x, -1, c);
}

static int binary(lua_State *L, BinaryKind kind)
{
  Tape *tp = step_tape(L);
  Tensor *affine = with_number(L, tp, kind);
  if (affine) return push_step(L, affine);
  Tensor *a = operand_or_number(L, 1, tp), *b = operand_or_number(L, 2, tp);
  return push_step(L, t_binary(tp, kind, a, b));
}

static int unary(lua_State *L, UnaryKind kind)
{
  Tape *tp = step_tape(L);
  return push_step(L, t_unary(tp, kind, check_operand(L, 1)));
}

#define BINARY(name, kind) \
  static int op_##name(lua_State *L) { return binary(L, kind); }
#define UNARY(name, kind) \
  static int op_##name(lua_State *L) { return unary(L, kind); }
BINARY(add, B_ADD)
BINARY(sub, B_SUB)
BINARY(mul, B_MUL)
BINARY(div, B_DIV)
BINARY(maximum, B_MAX)
BINARY(minimum, B_MIN)
UNARY(neg, U_NEG)
UNARY(exp, U_EXP)
UNARY(square, U_SQUARE)
UNARY(abs, U_ABS)
UNARY(tanh, U_TANH)
UNARY(sigmoid, U_SIGMOID)
UNARY(silu, U_SILU)
UNARY(relu, U_RELU)
UNARY(relu2, U_RELU2)
UNARY(softplus, U_SOFTPLUS)
UNARY(mish, U_MISH)
UNARY(sin, U_SIN)
UNARY(cos, U_COS)

/* Of a number below 0 there is none. */
static int of_not_negative(lua_State *L, const char *op, UnaryKind kind)
{
  Tape *tp = step_tape(L);
  Tensor *x = check_operand(L, 1);
  check_range(L, op, "x", x, &at_least_0_or_nan);
  return push_step(L, t_unary(tp, kind, x));
}

static int op_log(lua_State *L) { return of_not_negative(L, "log", U_LOG); }
static int op_sqrt(lua_State *L) { return of_not_negative(L, "sqrt", U_SQRT); }

/* x ^ number: whole numbers by multiplying, others as e^{p log x}, which needs x >= 0 */
static int op_pow(lua_State *L)
{
  Tape *tp = step_tape(L);
  Tensor *x = check_operand(L, 1), *y = NULL;
  double p = luaL_checknumber(L, 2);
  int whole = p >= -16 && p <= 16 && p == (int)p ? abs((int)p) : -1;
  if (isnan(p)) return luaL_error(L, "pow: the exponent is nan, expected a number");
  if (whole < 0) check_range(L, "pow", "x", x, &at_least_0_or_nan);
  if (p == 0.5) return push_step(L, t_unary(tp, U_SQRT, x));
  if (whole < 0) return push_step(L, t_exp(tp, t_affine(tp, t_unary(tp, U_LOG, x), p, 0)));
  for (int i = 0; i < whole; i++) y = y ? t_mul(tp, y, x) : x;
  if (!y) y = t_affine(tp, x, 0, 1);
  return push_step(L, p < 0 ? t_binary(tp, B_DIV, tape_number(tp, 1), y) : t_affine(tp, y, 1, 0));
}

/* f over the axis that is named, or over the last one. */
static int over_axis(lua_State *L, Tensor *(*f)(Tape *, Tensor *))
{
  Tape *tp = step_tape(L);
  Tensor *x = check_operand(L, 1);
  int last = x->axes - 1, axis = lua_isnoneornil(L, 2) ? last : axis_argument(L, 2, x);
  if (axis == last) return push_step(L, f(tp, x));
  return push_step(L, t_transpose(tp, f(tp, t_transpose(tp, x, axis, last)), axis, last));
}

static int op_softmax(lua_State *L) /* x:softmax(axis or -1) */ { return over_axis(L, t_softmax); }

static Tensor *log_softmax(Tape *tp, Tensor *x)
{
  if (x->axes < 1) rwkv_fail("log_softmax: %s has no last axis", tensor_shape(x));
  Tensor *top = t_max(tp, x, -1, true);
  top->needs_grad = false; /* it is taken out for safety only */
  x = t_sub(tp, x, top);
  return t_sub(tp, x, t_unary(tp, U_LOG, t_sum(tp, t_exp(tp, x), -1, true)));
}

static int op_log_softmax(lua_State *L) /* x:log_softmax(axis or -1) */ { return over_axis(L, log_softmax); }

static int op_lerp(lua_State *L) /* x:lerp(p, mu) -> x + (p - x) mu */
{
  Tape *tp = step_tape(L);
  Tensor *x = check_operand(L, 1), *p = check_operand(L, 2), *mu = check_operand(L, 3);
  return push_step(L, t_lerp(tp, x, p, mu));
}

static int op_linear(lua_State *L) /* x [..,in] :linear(w [out,in], bias or nil) -> [..,out] */
{
  Tape *tp = step_tape(L);
  Tensor *x = check_operand(L, 1), *w = check_operand(L, 2), *bias = opt_operand(L, 3);
  return push_step(L, bias ? t_linear_bias(tp, x, w, bias) : t_linear(tp, x, w));
}

static int op_matmul(lua_State *L) /* x [..,in] :matmul(m [in,out]) -> [..,out]; where m has more axes, as bmm */
{
  Tape *tp = step_tape(L);
  Tensor *x = check_operand(L, 1), *m = check_operand(L, 2);
  return push_step(L, m->axes > 2 ? t_bmm(tp, x, m) : t_matmul(tp, x, m));
}

static int op_layer_norm(lua_State *L) /* x:layer_norm(weight, bias, eps or 1e-5) */
{
  Tape *tp = step_tape(L);
  Tensor *x = check_operand(L, 1), *w = check_operand(L, 2), *b = check_operand(L, 3);
  return push_step(L, t_layer_norm(tp, x, w, b, positive_argument(L, 4, 1e-5, "layer_norm: eps")));
}

static int op_group_norm(lua_State *L) /* x:group_norm(heads, weight, bias, eps or 64e-5) */
{
  Tape *tp = step_tape(L);
  Tensor *x = check_operand(L, 1), *w = check_operand(L, 3), *b = check_operand(L, 4);
  int heads = int_argument(L, 2, 1, INT_MAX, "group_norm: heads");
  return push_step(L, t_group_norm(tp, x, heads, w, b, positive_argument(L, 5, 64e-5, "group_norm: eps")));
}

static int op_l2norm(lua_State *L) /* x:l2norm(heads or 1, eps or 1e-12) */
{
  Tape *tp = step_tape(L);
  Tensor *x = check_operand(L, 1);
  int heads = opt_int_argument(L, 2, 1, INT_MAX, 1, "l2norm: heads");
  return push_step(L, t_l2norm(tp, x, heads, positive_argument(L, 3, 1e-12, "l2norm: eps")));
}

/* Whether the axis stays, with size 1: nil or a boolean, so that a second axis is not mistaken for it. */
bool keep_argument(lua_State *L, int index)
{
  if (!lua_isnoneornil(L, index)) luaL_checktype(L, index, LUA_TBOOLEAN);
  return lua_toboolean(L, index);
}

static int op_sum(lua_State *L) /* x:sum() -> []; x:sum(axis, keep) */
{
  Tape *tp = step_tape(L);
  Tensor *x = check_operand(L, 1);
  if (lua_isnoneornil(L, 2)) return push_step(L, t_sum_all(tp, x));
  return push_step(L, t_sum(tp, x, axis_argument(L, 2, x), keep_argument(L, 3)));
}

static int op_mean(lua_State *L) /* x:mean() -> []; x:mean(axis, keep) */
{
  Tape *tp = step_tape(L);
  Tensor *x = check_operand(L, 1);
  bool all = lua_isnoneornil(L, 2);
  int axis = all ? 0 : axis_argument(L, 2, x);
  if (all ? !x->n : !x->shape[axis]) return luaL_error(L, "mean: there are no numbers in %s", tensor_shape(x));
  if (all) return push_step(L, t_affine(tp, t_sum_all(tp, x), 1.0 / (double)x->n, 0));
  return push_step(L, t_mean(tp, x, axis, keep_argument(L, 3)));
}

static int op_argmax(lua_State *L) /* x [..,n] :argmax() -> list of 0 .. n-1, one a row */
{
  const Tensor *x = check_numbers(L, 1);
  int n = x->axes ? x->shape[x->axes - 1] : 0;
  if (!lua_isnoneornil(L, 2) && axis_argument(L, 2, x) != x->axes - 1)
    return luaL_error(L, "argmax: goes over the last axis; transpose x to go over another");
  if (n < 1) return luaL_error(L, "argmax: %s has no last axis to search", tensor_shape(x));
  size_t rows = x->n / (size_t)n;
  int *best = lua_newuserdatauv(L, rows * sizeof *best, 0);
  t_argmax(step_tape_as_it_is(L), x, best);
  lua_createtable(L, (int)rows, 0);
  for (size_t i = 0; i < rows; i++) {
    lua_pushinteger(L, best[i]);
    lua_seti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

static int op_embed(lua_State *L) /* table [V,C] :embed(tokens [B,T]) -> [B,T,C] */
{
  Tape *tp = step_tape(L);
  Tensor *table = check_operand(L, 1);
  const Tokens *tokens = check_tokens(L, 2, "tokens");
  if (table->axes == 2) check_ids(L, "embed: tokens", tokens, 0, table->shape[0] - 1);
  return push_step(L, t_rows(tp, table, tokens->id, 2, (int[]){tokens->B, tokens->T}));
}

static int op_cross_entropy(lua_State *L) /* logits [B,T,V] :cross_entropy(targets [B,T], l2wrap or 0) */
{
  Tape *tp = step_tape(L);
  Tensor *logits = check_operand(L, 1);
  const Tokens *targets = check_tokens(L, 2, "targets");
  int V = logits->axes ? logits->shape[logits->axes - 1] : 0;
  if (V < 1 || logits->n / (size_t)V != (size_t)targets->B * (size_t)targets->T)
    return luaL_error(L, "cross_entropy: logits %s do not fit targets [%d,%d]", tensor_shape(logits), targets->B,
                      targets->T);
  check_ids(L, "cross_entropy: targets", targets, INT_MIN, V - 1);
  double l2wrap = number_argument(L, 3, 0, &at_least_0, "cross_entropy: l2wrap");
  return push_step(L, t_cross_entropy(tp, logits, targets->id, l2wrap));
}

static int op_clamp(lua_State *L) /* x:clamp(low, high): no gradient where it is cut */
{
  Tape *tp = step_tape(L);
  Tensor *x = check_operand(L, 1);
  double low = luaL_checknumber(L, 2), high = luaL_checknumber(L, 3);
  if (!(low <= high)) return luaL_error(L, "clamp: %f to %f: the lower bound is above the upper one", low, high);
  return push_step(L, t_clamp(tp, x, low, high));
}

static int backward(lua_State *L) /* loss:backward() */
{
  Tape *tp = step_tape(L);
  Tensor *loss = check_tensor(L, 1);
  if (!tp->recording) return luaL_error(L, "backward: not inside no_grad, whose memory is given back");
  if (step_held(L)) return luaL_error(L, "backward: not inside a hook, the model's run is not over");
  tape_backward(tp, loss);
  return 0;
}

void open_tensor_ops(lua_State *L)
{
  /* clang-format off */
  static const luaL_Reg methods[] = {
      {"exp", op_exp}, {"log", op_log}, {"sqrt", op_sqrt}, {"square", op_square}, {"abs", op_abs},
      {"tanh", op_tanh}, {"sigmoid", op_sigmoid}, {"silu", op_silu}, {"relu", op_relu},
      {"relu2", op_relu2}, {"softplus", op_softplus}, {"mish", op_mish}, {"sin", op_sin}, {"cos", op_cos},
      {"pow", op_pow}, {"softmax", op_softmax}, {"log_softmax", op_log_softmax},
      {"maximum", op_maximum}, {"minimum", op_minimum}, {"clamp", op_clamp}, {"lerp", op_lerp},
      {"linear", op_linear}, {"matmul", op_matmul}, {"layer_norm", op_layer_norm},
      {"group_norm", op_group_norm}, {"l2norm", op_l2norm}, {"sum", op_sum}, {"mean", op_mean},
      {"argmax", op_argmax}, {"embed", op_embed}, {"cross_entropy", op_cross_entropy}, {"backward", backward},
      {NULL, NULL}};
  static const luaL_Reg operators[] = {{"__add", op_add}, {"__sub", op_sub}, {"__mul", op_mul},
                                       {"__div", op_div}, {"__pow", op_pow}, {"__unm", op_neg}, {NULL, NULL}};
  /* clang-format on */
  luaL_getmetatable(L, class);
  add_functions(L, operators);
  lua_pop(L, 1);
  add_methods(L, class, methods);
  open_tensor_array(L);
}

/* Operators and methods that compute. Shapes and errors: see lua/doc/tensor.md and ref/engine/tape.h. */
#include "bind.h"

#include <stdlib.h>

static const char class[] = "rwkv.tensor";

/* An operand that may be a plain number, which then becomes a tensor of shape []. */
static Tensor *operand_or_number(lua_State *L, int index, Tape *tp)
{
  if (lua_type(L, index) != LUA_TNUMBER) return check_operand(L, index);
  Tensor *t = tape_zeros(tp, 0, NULL);
  real x = (real)lua_tonumber(L, index);
  tensor_write(t, 0, 1, &x);
  return t;
}

static int binary(lua_State *L, BinaryKind kind)
{
  Tape *tp = step_tape(L);
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
UNARY(log, U_LOG)
UNARY(sqrt, U_SQRT)
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

/* x ^ number: whole numbers by multiplying, others as e^{p log x}, which needs x > 0 */
static int op_pow(lua_State *L)
{
  Tape *tp = step_tape(L);
  Tensor *x = check_operand(L, 1), *y = NULL;
  double p = luaL_checknumber(L, 2);
  int whole = p >= -16 && p <= 16 && p == (int)p ? abs((int)p) : -1;
  if (p == 0.5) return push_step(L, t_unary(tp, U_SQRT, x));
  if (whole < 0) return push_step(L, t_exp(tp, t_affine(tp, t_unary(tp, U_LOG, x), p, 0)));
  for (int i = 0; i < whole; i++) y = y ? t_mul(tp, y, x) : x;
  if (!y) y = t_affine(tp, x, 0, 1);
  return push_step(L, p < 0 ? t_binary(tp, B_DIV, tape_number(tp, 1), y) : t_affine(tp, y, 1, 0));
}

static int op_softmax(lua_State *L) /* x:softmax(): over the last axis */
{
  Tape *tp = step_tape(L);
  return push_step(L, t_softmax(tp, check_operand(L, 1)));
}

static int op_log_softmax(lua_State *L) /* x:log_softmax(): over the last axis */
{
  Tape *tp = step_tape(L);
  Tensor *x = check_operand(L, 1);
  if (x->axes < 1) return luaL_error(L, "log_softmax: %s has no last axis", tensor_shape(x));
  bool recording = tp->recording; /* the largest is taken out for safety only: it needs no gradient */
  tp->recording = false;
  Tensor *top = t_max(tp, x, -1, true);
  tp->recording = recording;
  x = t_sub(tp, x, top);
  return push_step(L, t_sub(tp, x, t_unary(tp, U_LOG, t_sum(tp, t_exp(tp, x), -1, true))));
}

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
  return push_step(L, t_max(tp, x, axis_argument(L, 2, x), lua_toboolean(L, 3)));
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

static int op_matmul(lua_State *L) /* x [..,in] :matmul(m [in,out]) -> [..,out] */
{
  Tape *tp = step_tape(L);
  Tensor *x = check_operand(L, 1), *m = check_operand(L, 2);
  return push_step(L, t_matmul(tp, x, m));
}

static int op_layer_norm(lua_State *L) /* x:layer_norm(weight, bias, eps or 1e-5) */
{
  Tape *tp = step_tape(L);
  Tensor *x = check_operand(L, 1), *w = check_operand(L, 2), *b = check_operand(L, 3);
  return push_step(L, t_layer_norm(tp, x, w, b, luaL_optnumber(L, 4, 1e-5)));
}

static int op_group_norm(lua_State *L) /* x:group_norm(heads, weight, bias, eps or 64e-5) */
{
  Tape *tp = step_tape(L);
  Tensor *x = check_operand(L, 1), *w = check_operand(L, 3), *b = check_operand(L, 4);
  return push_step(L, t_group_norm(tp, x, (int)luaL_checkinteger(L, 2), w, b, luaL_optnumber(L, 5, 64e-5)));
}

static int op_l2norm(lua_State *L) /* x:l2norm(heads or 1, eps or 1e-12) */
{
  Tape *tp = step_tape(L);
  Tensor *x = check_operand(L, 1);
  return push_step(L, t_l2norm(tp, x, (int)luaL_optinteger(L, 2, 1), luaL_optnumber(L, 3, 1e-12)));
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
  lua_Integer n = list_length(L, 1);
  if (n < 1 || n > 10000) return luaL_error(L, "concat: %I tensors, expected 1 to 10000", n);
  Tensor **parts = arena_alloc(&tp->arena, (size_t)n * sizeof *parts);
  for (int i = 0; i < n; i++) {
    lua_rawgeti(L, 1, i + 1);
    parts[i] = check_operand(L, -1);
    lua_pop(L, 1);
  }
  return push_step(L, t_concat(tp, parts, (int)n, axis_argument(L, 2, parts[0])));
}

static int op_sum(lua_State *L) /* x:sum() -> []; x:sum(axis, keep) */
{
  Tape *tp = step_tape(L);
  Tensor *x = check_operand(L, 1);
  if (lua_isnoneornil(L, 2)) return push_step(L, t_sum_all(tp, x));
  return push_step(L, t_sum(tp, x, axis_argument(L, 2, x), lua_toboolean(L, 3)));
}

static int op_mean(lua_State *L) /* x:mean() -> []; x:mean(axis, keep) */
{
  Tape *tp = step_tape(L);
  Tensor *x = check_operand(L, 1);
  if (lua_isnoneornil(L, 2)) return push_step(L, t_affine(tp, t_sum_all(tp, x), 1.0 / (double)x->n, 0));
  return push_step(L, t_mean(tp, x, axis_argument(L, 2, x), lua_toboolean(L, 3)));
}

static int op_argmax(lua_State *L) /* x [..,n] :argmax() -> list of 0 .. n-1, one a row */
{
  const Tensor *x = check_tensor(L, 1);
  int n = x->axes ? x->shape[x->axes - 1] : 0;
  if (n < 1) return luaL_error(L, "argmax: %s has no last axis to search", tensor_shape(x));
  size_t rows = x->n / (size_t)n;
  int *best = lua_newuserdatauv(L, rows * sizeof *best, 0);
  ops.argmax(best, x->data, rows, (size_t)n);
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
  return push_step(L, t_cross_entropy(tp, logits, targets->id, luaL_optnumber(L, 3, 0)));
}

static int op_clamp(lua_State *L) /* x:clamp(low, high): no gradient where it is cut */
{
  Tape *tp = step_tape(L);
  Tensor *x = check_operand(L, 1);
  return push_step(L, t_clamp(tp, x, luaL_checknumber(L, 2), luaL_checknumber(L, 3)));
}

static int backward(lua_State *L) /* loss:backward() */
{
  Tape *tp = step_tape(L);
  Tensor *loss = check_tensor(L, 1);
  if (!tp->recording) return luaL_error(L, "backward: not inside no_grad, whose memory is given back");
  tape_backward(tp, loss);
  return 0;
}

void open_tensor_ops(lua_State *L)
{
  static const luaL_Reg methods[] = {
      {"exp", op_exp}, {"log", op_log}, {"sqrt", op_sqrt}, {"square", op_square}, {"abs", op_abs},
      {"tanh", op_tanh}, {"sigmoid", op_sigmoid}, {"silu", op_silu}, {"relu", op_relu},
      {"relu2", op_relu2}, {"softplus", op_softplus}, {"mish", op_mish}, {"sin", op_sin}, {"cos", op_cos},
      {"pow", op_pow}, {"softmax", op_softmax}, {"log_softmax", op_log_softmax}, {"bmm", op_bmm},
      {"transpose", op_transpose}, {"permute", op_permute}, {"max", op_max}, {"gather", op_gather},
      {"maximum", op_maximum}, {"minimum", op_minimum}, {"clamp", op_clamp}, {"lerp", op_lerp},
      {"linear", op_linear}, {"matmul", op_matmul}, {"layer_norm", op_layer_norm},
      {"group_norm", op_group_norm}, {"l2norm", op_l2norm}, {"reshape", op_reshape}, {"slice", op_slice},
      {"sum", op_sum}, {"mean", op_mean}, {"argmax", op_argmax}, {"embed", op_embed},
      {"cross_entropy", op_cross_entropy}, {"backward", backward}, {NULL, NULL}};
  static const luaL_Reg operators[] = {{"__add", op_add}, {"__sub", op_sub}, {"__mul", op_mul},
                                       {"__div", op_div}, {"__pow", op_pow}, {"__unm", op_neg}, {NULL, NULL}};
  luaL_getmetatable(L, class);
  add_functions(L, operators);
  lua_getfield(L, -1, "__index");
  add_functions(L, methods);
  lua_pop(L, 2);
  add_functions(L, (luaL_Reg[]){{"concat", op_concat}, {NULL, NULL}});
}

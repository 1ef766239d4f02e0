/* The token shift, the recurrences and attention, for blocks written in Lua. */
#include "bind.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static int op_shift(lua_State *L) /* x [B,T,C] :shift(carry [B,C]) -> rows before, new carry */
{
  Tape *tp = step_tape(L);
  Tensor *x = check_operand(L, 1), *carry = check_operand(L, 2);
  push_step(L, t_shift(tp, x, &carry));
  return push_step(L, carry) + 1;
}

static int op_conv(lua_State *L) /* x [B,T,C] :conv(w [C,W], carry [B,W-1,C]) -> y [B,T,C], new carry */
{
  Tape *tp = step_tape(L);
  Tensor *x = check_operand(L, 1), *w = check_operand(L, 2), *carry = check_operand(L, 3);
  push_step(L, t_conv(tp, x, w, &carry));
  return push_step(L, carry) + 1;
}

static int op_wkv4(lua_State *L) /* wkv4(w [C] or [B,T,C], u, k, v, a, b, p) -> y, a, b, p */
{
  Tape *tp = step_tape(L);
  Tensor *in[7];
  for (int i = 0; i < 7; i++) in[i] = check_operand(L, i + 1);
  push_step(L, t_wkv4(tp, in[0], in[1], in[2], in[3], &in[4], &in[5], &in[6]));
  check_range(L, "wkv4", "w", in[0], &log_decay);
  for (int i = 4; i < 7; i++) push_step(L, in[i]);
  return 4;
}

static int op_wkv2(lua_State *L) /* wkv2(w, u, e, v, a, b, eps) -> y, a, b */
{
  Tape *tp = step_tape(L);
  Tensor *in[6];
  for (int i = 0; i < 6; i++) in[i] = check_operand(L, i + 1);
  double eps = positive_argument(L, 7, 1e-8, "wkv2: eps");
  push_step(L, t_wkv2(tp, in[0], in[1], in[2], in[3], eps, &in[4], &in[5]));
  check_range(L, "wkv2", "w", in[0], &log_decay);
  check_range(L, "wkv2", "e", in[2], &at_least_0);
  for (int i = 4; i < 6; i++) push_step(L, in[i]);
  return 3;
}

static int op_wkv6(lua_State *L) /* wkv6(r, w, k, v, u, S) -> y, S */
{
  Tape *tp = step_tape(L);
  Tensor *in[6];
  for (int i = 0; i < 6; i++) in[i] = check_operand(L, i + 1);
  push_step(L, t_wkv6(tp, in[0], in[1], in[2], in[3], in[4], &in[5]));
  check_range(L, "wkv6", "w", in[1], &log_decay);
  return push_step(L, in[5]) + 1;
}

static int op_wkv7(lua_State *L) /* wkv7(r, w, k, v, a, b, S) -> y, S */
{
  Tape *tp = step_tape(L);
  Tensor *in[7];
  for (int i = 0; i < 7; i++) in[i] = check_operand(L, i + 1);
  push_step(L, t_wkv7(tp, in[0], in[1], in[2], in[3], in[4], in[5], &in[6]));
  check_range(L, "wkv7", "w", in[1], &log_decay);
  return push_step(L, in[6]) + 1;
}

static int op_selective_scan(lua_State *L) /* selective_scan(x, delta, A, B, C, h) -> y, h */
{
  Tape *tp = step_tape(L);
  Tensor *in[6];
  for (int i = 0; i < 6; i++) in[i] = check_operand(L, i + 1);
  push_step(L, t_selective_scan(tp, in[0], in[1], in[2], in[3], in[4], &in[5]));
  check_range(L, "selective_scan", "delta", in[1], &at_least_0);
  check_range(L, "selective_scan", "A", in[2], &at_most_0);
  return push_step(L, in[5]) + 1;
}

/* What was seen before; nil at the beginning. */
static Tensor *history_argument(lua_State *L, int index, Tape *tp)
{
  Tensor *t = opt_operand(L, index);
  return t ? t : tape_zeros(tp, 1, (int[]){0});
}

static int op_attention(lua_State *L) /* attention(q, k, v, heads, keys or nil, values or nil) -> y, keys, values */
{
  Tape *tp = step_tape(L);
  Tensor *q = check_operand(L, 1), *k = check_operand(L, 2), *v = check_operand(L, 3);
  int heads = opt_int_argument(L, 4, 1, INT_MAX, 1, "attention: heads");
  Tensor *keys = history_argument(L, 5, tp), *values = history_argument(L, 6, tp);
  push_step(L, t_attention(tp, q, k, v, heads, &keys, &values));
  push_step(L, keys);
  return push_step(L, values) + 2;
}

/* low, high, bits, none from argument `at` on */
static RosaLevels rosa_levels(lua_State *L, int at, const char *what)
{
  char name[40];
  const char *none = luaL_optstring(L, at + 3, "zero");
  bool low = strcmp(none, "low") == 0;
  if (!low && strcmp(none, "zero")) luaL_error(L, "%s: none '%s', expected \"zero\" or \"low\"", what, none);
  snprintf(name, sizeof name, "%s: bits", what);
  return (RosaLevels){check_operand(L, at), check_operand(L, at + 1), opt_int_argument(L, at + 2, 1, 16, 1, name), low};
}

/* rosa(q, k, v, low, high, bits, none, and nil or queries, keys, values, runs) -> y, queries, keys, values, runs */
static int op_rosa(lua_State *L)
{
  Tape *tp = step_tape(L);
  Tensor *q = check_operand(L, 1), *k = check_operand(L, 2), *v = check_operand(L, 3), *seen[4];
  const RosaLevels levels = rosa_levels(L, 4, "rosa");
  for (int i = 0; i < 4; i++) seen[i] = history_argument(L, 8 + i, tp);
  push_step(L, t_rosa(tp, q, k, v, &levels, &(RosaState){&seen[0], &seen[1], &seen[2], &seen[3]}));
  for (int i = 0; i < 4; i++) push_step(L, seen[i]);
  return 5;
}

/* rosa_self(x, low, high, bits, none, symbols or nil, runs or nil) -> y, symbols, runs */
static int op_rosa_self(lua_State *L)
{
  Tape *tp = step_tape(L);
  Tensor *x = check_operand(L, 1);
  const RosaLevels levels = rosa_levels(L, 2, "rosa_self");
  Tensor *symbols = history_argument(L, 6, tp), *runs = history_argument(L, 7, tp);
  push_step(L, t_rosa_self(tp, x, &levels, &(RosaState){NULL, &symbols, NULL, &runs}));
  push_step(L, symbols);
  return push_step(L, runs) + 2;
}

void open_recurrence(lua_State *L)
{
  add_methods(L, "rwkv.tensor", (luaL_Reg[]){{"shift", op_shift}, {"conv", op_conv}, {NULL, NULL}});
  /* clang-format off */
  add_functions(L, (luaL_Reg[]){{"wkv2", op_wkv2}, {"wkv4", op_wkv4}, {"wkv6", op_wkv6}, {"wkv7", op_wkv7},
                                {"selective_scan", op_selective_scan}, {"attention", op_attention}, {"rosa", op_rosa},
                                {"rosa_self", op_rosa_self}, {NULL, NULL}});
  /* clang-format on */
}

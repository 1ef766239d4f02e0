/* Tensors as text. */
#include "bind.h"

#include <math.h>
#include <stdio.h>

static void add_number(luaL_Buffer *b, double x)
{
  char text[40];
  snprintf(text, sizeof text, x == floor(x) && fabs(x) < 1e15 ? "%.0f" : "%.5g", x);
  luaL_addstring(b, text);
}

/* Long axes are cut in the middle: 1 2 3 .. 9 */
static void add_values(luaL_Buffer *b, const Tensor *t, int axis, size_t from)
{
  if (axis == t->axes) {
    real x;
    tensor_read(t, from, 1, &x);
    add_number(b, (double)x);
    return;
  }
  size_t step = 1;
  for (int d = axis + 1; d < t->axes; d++) step *= (size_t)t->shape[d];
  luaL_addchar(b, '{');
  for (int i = 0; i < t->shape[axis]; i++) {
    bool cut = t->shape[axis] > 8 && i == 4;
    if (i) luaL_addstring(b, ", ");
    if (cut) {
      luaL_addstring(b, "..");
      i = t->shape[axis] - 3;
      continue;
    }
    add_values(b, t, axis + 1, from + (size_t)i * step);
  }
  luaL_addchar(b, '}');
}

int tensor_to_string(lua_State *L)
{
  TensorHandle *h = luaL_checkudata(L, 1, "rwkv.tensor");
  if (!h->t || (h->scope && !step_alive(L, h->scope))) return lua_pushliteral(L, "tensor (of a step that is over)"), 1;
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  luaL_addstring(&b, "tensor");
  luaL_addstring(&b, tensor_shape(h->t));
  luaL_addchar(&b, ' ');
  if (h->t->n == 0) luaL_addstring(&b, "{}");
  else add_values(&b, h->t, 0, 0);
  luaL_pushresult(&b);
  return 1;
}

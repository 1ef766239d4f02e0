/* What a model is run over: tokens or vectors, and where its sequences begin and end. */
#include "bind.h"

static const char *const own_options[] = {"lengths", "starts"};

/* The table of options at index 4 has what every run knows, and what this one does. */
static void check_options(lua_State *L, const char *function, const char *const *options)
{
  const char *known[12] = {own_options[0], own_options[1]};
  for (int i = 0; options[i]; i++) known[i + 2] = options[i];
  if (!lua_istable(L, 4)) luaL_error(L, "%s: options are a table, not a %s", function, type_text(L, 4));
  known_fields(L, 4, function, known);
}

/* A whole number, entry `place` of the list on top of the stack. */
static int read_position(lua_State *L, const char *what, lua_Integer row, lua_Integer place, int high)
{
  int whole;
  lua_rawgeti(L, -1, place);
  lua_Integer n = lua_tointegerx(L, -1, &whole);
  if (!whole || n < 1 || n > high)
    luaL_error(L, "%s: sequence %I: expected a whole number from 1 to %d, found %s", what, row, high,
               value_text(L, -1));
  lua_pop(L, 1);
  return (int)n;
}

static const int *read_lengths(lua_State *L, const Batch *b)
{
  if (raw_field(L, 4, "lengths") == LUA_TNIL) return NULL;
  if (!lua_istable(L, -1)) luaL_error(L, "lengths: expected a list of numbers, found a %s", type_text(L, -1));
  lua_Integer n = check_list(L, -1, "lengths");
  if (n != b->B) luaL_error(L, "lengths: %I of them for %d sequences", n, b->B);
  int *length = lua_newuserdatauv(L, (size_t)b->B * sizeof *length, 0);
  lua_pushvalue(L, -2);
  for (int i = 0; i < b->B; i++) length[i] = read_position(L, "lengths", i + 1, i + 1, b->T);
  lua_pop(L, 1);
  return length;
}

/* The list on top of the stack, the starts of sequence `row` from 1, of `length` tokens: they rise. */
static void read_row(lua_State *L, bool *starts, int row, int length)
{
  const char *what = lua_pushfstring(L, "starts: sequence %d", row);
  lua_insert(L, -2);
  lua_Integer n = check_list(L, -1, what);
  for (int k = 1, before = 0; k <= n; k++) {
    int at = read_position(L, "starts", row, k, length);
    if (at <= before) luaL_error(L, "%s: %d comes after %d, expected positions that rise", what, at, before);
    starts[at - 1] = true;
    before = at;
  }
  lua_pop(L, 2);
}

/* starts = {1, 6} of one sequence, or a list of such lists. */
static const bool *read_starts(lua_State *L, const Batch *b)
{
  if (raw_field(L, 4, "starts") == LUA_TNIL) return NULL;
  if (!lua_istable(L, -1))
    luaL_error(L, "starts: expected a list of positions or a list of lists, found a %s", type_text(L, -1));
  int table = lua_gettop(L);
  bool nested = lua_rawgeti(L, table, 1) == LUA_TTABLE;
  lua_Integer rows = nested ? check_list(L, table, "starts") : 1;
  if (rows != b->B) luaL_error(L, "starts: of %I sequences, expected a list for each of %d", rows, b->B);
  bool *starts = lua_newuserdatauv(L, (size_t)b->B * (size_t)b->T * sizeof *starts, 0);
  memset(starts, 0, (size_t)b->B * (size_t)b->T * sizeof *starts);
  for (int i = 0; i < b->B; i++) {
    if (!nested) lua_pushvalue(L, table);
    else if (lua_rawgeti(L, table, i + 1) != LUA_TTABLE) luaL_error(L, "starts: sequence %d is not a list", i + 1);
    read_row(L, starts + (size_t)i * (size_t)b->T, i + 1, batch_length(b, i));
  }
  return starts;
}

Batch read_batch(lua_State *L, const char *function, const char *const *options)
{
  Batch b = {0};
  const Tokens *tokens = NULL;
  if (!lua_isnil(L, 4)) check_options(L, function, options);
  if (is_tensor(L, 2)) {
    b.vectors = check_operand(L, 2);
    if (b.vectors->axes != 3) luaL_error(L, "%s: vectors are [B,T,C], found %s", function, tensor_shape(b.vectors));
    b.B = b.vectors->shape[0], b.T = b.vectors->shape[1];
  } else {
    tokens = check_sequences(L, 2, "tokens");
    b.tokens = tokens->id, b.B = tokens->B, b.T = tokens->T, b.length = tokens->length;
  }
  if (lua_isnil(L, 4)) return b;
  const int *lengths = read_lengths(L, &b);
  if (lengths && b.length) luaL_error(L, "lengths: the lists of tokens have lengths of their own");
  if (lengths) b.length = lengths;
  b.starts = read_starts(L, &b);
  return b;
}

/* Vocabularies: text as token ids, and back. */
#include "bind.h"

typedef struct {
  Tokenizer *t;
  Ids ids; /* of the call at work: an error of Lua's leaves them to the next one */
} Handle;

static const char class[] = "rwkv.tokenizer";

static Handle *check_handle(lua_State *L)
{
  Handle *h = luaL_checkudata(L, 1, class);
  if (!h->t) luaL_error(L, "this tokenizer is being collected: a finalizer cannot use it any more");
  return h;
}

static int make(lua_State *L) /* tokenizer(path or "bytes") */
{
  const char *path = luaL_checkstring(L, 1);
  Handle *h = lua_newuserdatauv(L, sizeof *h, 0);
  *h = (Handle){0};
  luaL_setmetatable(L, class);
  h->t = tokenizer_open(path);
  return 1;
}

static int collect(lua_State *L)
{
  Handle *h = luaL_checkudata(L, 1, class);
  ids_release(&h->ids);
  tokenizer_close(h->t);
  h->t = NULL;
  return 0;
}

/* ---- text to ids ---- */

/* The ids of the text at 2 into h->ids. Returns how many of its bytes have been read. */
static size_t encode_argument(lua_State *L, Handle *h, bool more)
{
  size_t n;
  const char *text = luaL_checklstring(L, 2, &n);
  h->ids.n = 0;
  return tokenizer_encode(h->t, (const unsigned char *)text, n, more, &h->ids);
}

/* t:encode(text, more or false) -> list of ids, how many bytes of the text were read. more: the text goes on */
static int encode(lua_State *L)
{
  Handle *h = check_handle(L);
  lua_settop(L, 3);
  size_t read = encode_argument(L, h, keep_argument(L, 3));
  if (h->ids.n > 1 << 28) return luaL_error(L, "encode: %I ids, expected at most %d", (lua_Integer)h->ids.n, 1 << 28);
  lua_createtable(L, (int)h->ids.n, 0);
  for (size_t i = 0; i < h->ids.n; i++) {
    lua_pushinteger(L, h->ids.id[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  ids_release(&h->ids);
  lua_pushinteger(L, (lua_Integer)read);
  return 2;
}

static int tokens(lua_State *L) /* t:tokens(text) -> tokens [1,T] */
{
  Handle *h = check_handle(L);
  encode_argument(L, h, false);
  Tokens *t = new_tokens(L, 1, (lua_Integer)h->ids.n, "tokens of the text");
  memcpy(t->id, h->ids.id, h->ids.n * sizeof *t->id);
  ids_release(&h->ids);
  return 1;
}

/* A space and the digits of an id to `end`, from behind. Returns where they begin. */
static char *put_id(char *end, int id)
{
  do *--end = (char)('0' + id % 10);
  while (id /= 10);
  *--end = ' ';
  return end;
}

/* write_ids(t, text, more) -> the ids in digits with a space between, their number, how many bytes of the text were
   read. more: the text goes on */
static int write_ids(lua_State *L)
{
  enum { WIDEST = 12 };
  Handle *h = check_handle(L);
  luaL_Buffer b;
  size_t read = encode_argument(L, h, lua_toboolean(L, 3));
  luaL_buffinit(L, &b);
  for (size_t i = 0; i < h->ids.n; i++) {
    char text[WIDEST], *end = text + WIDEST, *first = put_id(end, h->ids.id[i]) + (i == 0);
    luaL_addlstring(&b, first, (size_t)(end - first));
  }
  luaL_pushresult(&b);
  lua_pushinteger(L, (lua_Integer)h->ids.n);
  lua_pushinteger(L, (lua_Integer)read);
  ids_release(&h->ids);
  return 3;
}

/* ---- ids to text ---- */

static void add_id(luaL_Buffer *b, const Handle *h, int id)
{
  size_t n;
  const unsigned char *bytes = tokenizer_bytes(h->t, id, &n);
  luaL_addlstring(b, (const char *)bytes, n);
}

static int decode(lua_State *L) /* t:decode(list of ids or tokens [1,T]) -> text */
{
  const Handle *h = check_handle(L);
  luaL_Buffer b;
  lua_settop(L, 2);
  if (lua_istable(L, 2) && list_length(L, 2) == 0) return lua_pushliteral(L, ""), 1;
  const Tokens *ids = check_tokens(L, 2, "decode");
  if (ids->B != 1) return luaL_error(L, "decode: expected one sequence of ids, found %d", ids->B);
  luaL_buffinit(L, &b);
  for (int i = 0; i < ids->T; i++) add_id(&b, h, ids->id[i]);
  luaL_pushresult(&b);
  return 1;
}

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* The id in the digits at *at, which moves behind them; raises on anything else. */
static int read_id(lua_State *L, const char **at, const char *end)
{
  const char *from = *at;
  int id = 0;
  for (; *at < end && **at >= '0' && **at <= '9' && id < 100000000; ++*at) id = id * 10 + (**at - '0');
  if (*at < end && !is_blank(**at)) {
    while (*at < end && !is_blank(**at) && *at - from < 40) ++*at;
    lua_pushlstring(L, from, (size_t)(*at - from));
    luaL_error(L, "expected ids, found '%s'", lua_tostring(L, -1));
  }
  return id;
}

/* read_ids(t, text, more) -> the bytes of the ids that stand in the text, their number, how many bytes of it were read
   */
static int read_ids(lua_State *L)
{
  Handle *h = check_handle(L);
  size_t n;
  const char *text = luaL_checklstring(L, 2, &n), *at = text, *end = text + n;
  bool more = lua_toboolean(L, 3);
  lua_Integer count = 0;
  luaL_Buffer b;
  while (more && end > text && !is_blank(end[-1])) end--;
  luaL_buffinit(L, &b);
  for (;; count++) {
    while (at < end && is_blank(*at)) at++;
    if (at == end) break;
    add_id(&b, h, read_id(L, &at, end));
    if (count % 4096 == 0) rwkv_poll();
  }
  luaL_pushresult(&b);
  lua_pushinteger(L, count);
  lua_pushinteger(L, (lua_Integer)(end - text));
  return 3;
}

/* ---- about it ---- */

static int bytes(lua_State *L) /* t:bytes(id) -> its bytes */
{
  const Handle *h = check_handle(L);
  size_t n;
  int id = int_argument(L, 2, 0, tokenizer_size(h->t) - 1, "bytes: the id");
  const unsigned char *at = tokenizer_bytes(h->t, id, &n);
  lua_pushlstring(L, (const char *)at, n);
  return 1;
}

static int size(lua_State *L) /* t:size() -> ids are below */
{
  lua_pushinteger(L, tokenizer_size(check_handle(L)->t));
  return 1;
}

static int kind(lua_State *L) /* t:kind() -> "world", "bpe", "chars" or "bytes" */
{
  lua_pushstring(L, tokenizer_kind(check_handle(L)->t));
  return 1;
}

static int to_string(lua_State *L)
{
  const Tokenizer *t = check_handle(L)->t;
  lua_pushfstring(L, "tokenizer(%s, %d ids)", tokenizer_kind(t), tokenizer_size(t));
  return 1;
}

void open_tokenizer(lua_State *L)
{
  /* clang-format off */
  add_class(L, class,
            (luaL_Reg[]){{"encode", encode}, {"tokens", tokens}, {"decode", decode}, {"bytes", bytes},
                         {"size", size}, {"kind", kind}, {NULL, NULL}},
            (luaL_Reg[]){{"__tostring", to_string}, {"__gc", collect}, {NULL, NULL}});
  /* clang-format on */
  add_functions(L, (luaL_Reg[]){{"tokenizer", make}, {NULL, NULL}});
  add_private(L, (luaL_Reg[]){{"write_ids", write_ids}, {"read_ids", read_ids}, {NULL, NULL}});
}

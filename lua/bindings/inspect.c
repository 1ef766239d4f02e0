/* What a function is made of, for the fingerprints of experiments: its code, and what that reads of the values that
   it refers to. Nothing that scripts may have. */
#include "bind.h"

/* ---- a function's code, out of what lua_dump writes (Lua 5.4: ldump.c) ---- */

typedef struct {
  const unsigned char *at, *end;
  lua_State *L;
} Dump;

enum { HEADER = 31, CODE_AT_ONCE = 4 };                                         /* bytes; bytes of an instruction */
enum { GETUPVAL = 9, GETTABUP = 11, GETFIELD = 14, SETTABUP = 15 };             /* lopcodes.h */
enum { INTEGER = 0x03, SHORT_STRING = 0x04, FLOAT = 0x13, LONG_STRING = 0x14 }; /* kinds of constants: lobject.h */
enum { NO_UPVALUE = -1, MOST_UPVALUES = 256 };

static void cut(Dump *d) { luaL_error(d->L, "inspect: this Lua writes its code in another way than Lua 5.4"); }

static const unsigned char *take(Dump *d, size_t n)
{
  if ((size_t)(d->end - d->at) < n) cut(d);
  const unsigned char *from = d->at;
  d->at += n;
  return from;
}

static size_t take_size(Dump *d)
{
  size_t x = 0;
  for (;;) {
    unsigned char byte = *take(d, 1);
    x = x << 7 | (byte & 0x7f);
    if (byte & 0x80) return x;
  }
}

typedef struct {
  const char *text; /* NULL: no short string */
  size_t length;
} Constant;

static Constant take_string(Dump *d)
{
  size_t size = take_size(d);
  if (size == 0) return (Constant){NULL, 0};
  return (Constant){(const char *)take(d, size - 1), size - 1};
}

static Constant take_constant(Dump *d)
{
  int kind = *take(d, 1);
  if (kind == INTEGER || kind == FLOAT) take(d, 8);
  if (kind != SHORT_STRING && kind != LONG_STRING) return (Constant){NULL, 0};
  Constant s = take_string(d);
  return kind == SHORT_STRING ? s : (Constant){NULL, 0};
}

static uint32_t instruction(const unsigned char *code, size_t i)
{
  uint32_t x;
  memcpy(&x, code + CODE_AT_ONCE * i, sizeof x);
  return x;
}
static int op(uint32_t i) { return i & 0x7f; }
static int field_A(uint32_t i) { return i >> 7 & 0xff; }
static int field_B(uint32_t i) { return i >> 16 & 0xff; }
static int field_C(uint32_t i) { return i >> 24 & 0xff; }

/* The value under the name in the table on top is pushed. A new table if there is none, or `true` if it is to be
   whole. */
static int deepen(lua_State *L, const Constant *name, bool whole)
{
  lua_pushlstring(L, name->text, name->length);
  lua_pushvalue(L, -1);
  int type = lua_rawget(L, -3);
  if (type == LUA_TBOOLEAN || (type == LUA_TTABLE && !whole)) return type;
  lua_pop(L, 1);
  if (whole) lua_pushboolean(L, 1);
  else lua_newtable(L);
  lua_pushvalue(L, -2);
  lua_pushvalue(L, -2);
  lua_rawset(L, -5);
  return lua_type(L, -1);
}

/* In the table at `uses`, of the outermost function: uses[upvalue] = {name = {name of a field of it = true} or
   true}, or true where all of it may be read. */
static void note_use(Dump *d, int uses, int upvalue, const Constant *name, const Constant *field)
{
  lua_State *L = d->L;
  int top = lua_gettop(L);
  if (upvalue == NO_UPVALUE) return;
  int type = lua_rawgeti(L, uses, upvalue + 1);
  if (type == LUA_TNIL || !name) {
    if (name) lua_newtable(L);
    else lua_pushboolean(L, 1);
    lua_pushvalue(L, -1);
    lua_rawseti(L, uses, upvalue + 1);
  }
  if (lua_istable(L, -1) && deepen(L, name, !field) == LUA_TTABLE) deepen(L, field, true);
  lua_settop(L, top);
}

/* origin: which upvalue of the outermost function each of this one is. */
static void note_uses(Dump *d, int uses, const unsigned char *code, size_t count, const Constant *constants,
                      size_t known, const int origin[])
{
  for (size_t i = 0; i < count; i++) {
    uint32_t now = instruction(code, i), next = i + 1 < count ? instruction(code, i + 1) : 0;
    bool reads = op(now) == GETTABUP, writes = op(now) == SETTABUP;
    if (op(now) == GETUPVAL) note_use(d, uses, origin[field_B(now)], NULL, NULL);
    if (!reads && !writes) continue;
    size_t key = (size_t)(reads ? field_C(now) : field_B(now));
    if (key >= known || !constants[key].text) cut(d);
    /* x.name.field, of which x.name is kept nowhere else */
    bool deeper = reads && op(next) == GETFIELD && field_A(next) == field_A(now) && field_B(next) == field_A(now) &&
                  (size_t)field_C(next) < known && constants[field_C(next)].text;
    note_use(d, uses, origin[reads ? field_B(now) : field_A(now)], &constants[key],
             deeper ? &constants[field_C(next)] : NULL);
  }
}

/* One function; outer: the origins of the upvalues of the function around it, or NULL. */
static void take_function(Dump *d, int uses, const int *outer)
{
  int origin[MOST_UPVALUES];
  luaL_checkstack(d->L, 10, "nested functions");
  take_string(d); /* the source's name, */
  take_size(d);   /* and lines: what moves in a file stays the same */
  take_size(d);
  const unsigned char *from = take(d, 3);
  size_t count = take_size(d);
  if (count > SIZE_MAX / CODE_AT_ONCE) cut(d);
  const unsigned char *code = take(d, count * CODE_AT_ONCE);
  size_t known = take_size(d);
  if (known > (size_t)(d->end - d->at)) cut(d);
  Constant *constants = lua_newuserdatauv(d->L, known * sizeof *constants + 1, 0);
  for (size_t i = 0; i < known; i++) constants[i] = take_constant(d);
  size_t upvalues = take_size(d);
  if (upvalues > MOST_UPVALUES) cut(d);
  const unsigned char *end = d->at; /* of the outermost function: where its variables stand outside decides nothing */
  for (size_t i = 0; i < upvalues; i++) {
    const unsigned char *u = take(d, 3); /* in the stack of the function around?, which, kind */
    origin[i] = !outer ? (int)i : u[0] ? NO_UPVALUE : outer[u[1]];
  }
  if (outer) end = d->at;
  note_uses(d, uses, code, count, constants, known, origin);
  lua_pop(d->L, 1);
  lua_rawgeti(d->L, uses, 0); /* the pieces of code */
  lua_pushlstring(d->L, (const char *)from, (size_t)(end - from));
  lua_rawseti(d->L, -2, (lua_Integer)lua_rawlen(d->L, -2) + 1);
  lua_pop(d->L, 1);
  for (size_t inner = take_size(d); inner > 0; inner--) take_function(d, uses, origin);
  for (int i = 0; i < 4; i++)
    if (take_size(d) > 0) cut(d); /* what is stripped */
}

static int append(lua_State *L, const void *p, size_t n, void *buffer)
{
  (void)L;
  luaL_addlstring(buffer, p, n);
  return 0;
}

static void push_concatenated(lua_State *L, int pieces)
{
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (lua_Integer i = 1, n = (lua_Integer)lua_rawlen(L, pieces); i <= n; i++) {
    lua_rawgeti(L, pieces, i);
    luaL_addvalue(&b);
  }
  luaL_pushresult(&b);
}

/* inspect(f) -> its code, list of { value =, id = of the variable, uses = }; nil for a function of C. */
static int inspect(lua_State *L)
{
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  if (lua_iscfunction(L, 1)) return lua_pushnil(L), 1;
  luaL_Buffer b;
  lua_newtable(L); /* uses; [0]: the pieces of code */
  lua_newtable(L);
  lua_rawseti(L, 2, 0);
  lua_pushvalue(L, 1); /* lua_dump wants it on top; the buffer grows above it */
  lua_State *co = lua_newthread(L);
  lua_insert(L, 3);
  lua_xmove(L, co, 1);
  luaL_buffinit(L, &b);
  lua_dump(co, append, &b, 1);
  luaL_pushresult(&b);
  size_t size;
  const char *bytes = lua_tolstring(L, -1, &size);
  Dump d = {.at = (const unsigned char *)bytes, .end = (const unsigned char *)bytes + size, .L = L};
  take(&d, HEADER);
  take(&d, 1); /* how many upvalues */
  take_function(&d, 2, NULL);
  lua_rawgeti(L, 2, 0);
  push_concatenated(L, lua_gettop(L));
  lua_newtable(L);
  for (int i = 1; lua_getupvalue(L, 1, i); i++) {
    lua_createtable(L, 0, 3);
    lua_insert(L, -2);
    lua_setfield(L, -2, "value");
    lua_pushfstring(L, "%p", lua_upvalueid(L, 1, i));
    lua_setfield(L, -2, "id");
    lua_rawgeti(L, 2, i);
    lua_setfield(L, -2, "uses");
    lua_rawseti(L, -2, i);
  }
  return 2;
}

/* metatable(value) -> its metatable, whatever that says of itself */
static int metatable(lua_State *L)
{
  luaL_checkany(L, 1);
  if (!lua_getmetatable(L, 1)) lua_pushnil(L);
  return 1;
}

void open_inspect(lua_State *L)
{
  add_private(L, (luaL_Reg[]){{"inspect", inspect}, {"metatable", metatable}, {NULL, NULL}});
}

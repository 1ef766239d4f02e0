/* The sampler: the next token from logits. */
#include "bind.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char class[] = "rwkv.sampler";

typedef struct {
  Sampler *s;
  int ids; /* that the tokenizer knows: no other is picked */
} Handle;

/* Its uservalues. */
enum { HOOK_ON_LOGITS = 1, TOKENIZER, IDS, USERVALUES = IDS };

static Handle *check_handle(lua_State *L)
{
  Handle *h = luaL_checkudata(L, 1, class);
  if (!h->s) luaL_argerror(L, 1, "this sampler is gone");
  return h;
}

static Sampler *check_sampler(lua_State *L) { return check_handle(L)->s; }

/* ---- the tokenizer, of which only the methods are known ---- */

static int call_method(lua_State *L) /* (object, id or nil, name) -> what its method returns */
{
  if (lua_getfield(L, 1, lua_tostring(L, 3)) == LUA_TNIL)
    return luaL_error(L, "the tokenizer has no method '%s'", lua_tostring(L, 3));
  lua_insert(L, 1);
  lua_settop(L, 3);
  lua_call(L, 2, 1);
  return 1;
}

/* Pushes what the method of the tokenizer on top of the stack returns. */
static void ask_tokenizer(lua_State *L, const char *name, int id)
{
  lua_pushcfunction(L, call_method);
  lua_insert(L, -2);
  lua_pushinteger(L, id);
  lua_pushstring(L, name);
  if (guarded_pcall(L, 3, 1) != LUA_OK) rethrow(L);
}

/* What the official code gives a token's frequency: 0 if its text stands somewhere in " \t0123456789". */
static double weight_of(lua_State *L, int id)
{
  if (lua_getiuservalue(L, 1, TOKENIZER) == LUA_TNIL) return 1;
  ask_tokenizer(L, "bytes", id);
  size_t n;
  const char *bytes = lua_tolstring(L, -1, &n);
  return bytes && strlen(bytes) == n && strstr(" \t0123456789", bytes) ? 0 : 1;
}

static uint64_t whole_field(lua_State *L, int table, const char *name)
{
  double x = number_field(L, table, name, 0);
  if (!(x >= 0 && x <= 9007199254740992.0) || floor(x) != x)
    luaL_error(L, "%s: expected a whole number from 0 to 2^53, found %f", name, x);
  return (uint64_t)x;
}

/* ---- memory: draws and counts as text ---- */

static int memory(lua_State *L) /* s:memory() -> what it knows, as text for rwkv.sampler{memory =} */
{
  const Sampler *s = check_sampler(L);
  luaL_Buffer b;
  char part[80];
  luaL_buffinit(L, &b);
  snprintf(part, sizeof part, "draws %llu", (unsigned long long)s->rng.count);
  luaL_addstring(&b, part);
  for (int i = 0; i < s->seen_count; i++) {
    snprintf(part, sizeof part, " %d:%.17g", s->seen[i].id, s->seen[i].count);
    luaL_addstring(&b, part);
  }
  luaL_pushresult(&b);
  return 1;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static void remember_text(lua_State *L, Sampler *s, const char *text)
{
  char *end = NULL;
  bool good = strncmp(text, "draws ", 6) == 0 && is_digit(text[6]);
  s->rng.count = good ? strtoull(text + 6, &end, 10) : 0;
  while (good && *end) {
    good = *end == ' ' && is_digit(end[1]);
    long id = good ? strtol(end + 1, &end, 10) : 0;
    good = good && id < INT_MAX && *end == ':' && is_digit(end[1]);
    double count = good ? strtod(end + 1, &end) : 0;
    good = good && count <= 1e9;
    if (good) sampler_remember(s, (int)id, count);
  }
  if (!good) luaL_error(L, "memory: expected what sampler:memory() returned, found '%s'", text);
}

/* ---- making ---- */

/* sampler{temperature =, top_p =, top_k =, presence =, frequency =, decay =, seed =, stream =, tokenizer =, logits =
   function(logits, ids) -> logits, memory =}: official defaults. See lua/pages/text.md. */
static int make(lua_State *L)
{
  static const char *const known[] = {"temperature", "top_p",  "top_k",     "presence", "frequency", "decay",
                                      "seed",        "stream", "tokenizer", "logits",   "memory",    NULL};
  SamplerConfig cfg = sampler_defaults;
  lua_settop(L, 1);
  if (lua_isnil(L, 1)) lua_newtable(L), lua_replace(L, 1);
  luaL_checktype(L, 1, LUA_TTABLE);
  known_fields(L, 1, "rwkv.sampler", known);
  cfg.temperature = number_field(L, 1, "temperature", cfg.temperature);
  cfg.top_p = number_field(L, 1, "top_p", cfg.top_p);
  cfg.top_k = integer_field(L, 1, "top_k", cfg.top_k);
  cfg.presence = number_field(L, 1, "presence", cfg.presence);
  cfg.frequency = number_field(L, 1, "frequency", cfg.frequency);
  cfg.decay = number_field(L, 1, "decay", cfg.decay);
  uint64_t seed = whole_field(L, 1, "seed"), stream = whole_field(L, 1, "stream");
  Handle *h = lua_newuserdatauv(L, sizeof *h, USERVALUES);
  *h = (Handle){.ids = INT_MAX};
  luaL_setmetatable(L, class);
  int type = raw_field(L, 1, "logits");
  if (type != LUA_TNIL && type != LUA_TFUNCTION)
    return luaL_error(L, "logits: expected a function, found a %s", lua_typename(L, type));
  lua_setiuservalue(L, 2, HOOK_ON_LOGITS);
  type = raw_field(L, 1, "tokenizer");
  if (type != LUA_TNIL && type != LUA_TTABLE && type != LUA_TUSERDATA)
    return luaL_error(L, "tokenizer: expected a tokenizer, found a %s", lua_typename(L, type));
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, 2, TOKENIZER);
  if (type != LUA_TNIL) {
    ask_tokenizer(L, "size", 0);
    h->ids = int_argument(L, -1, 1, INT_MAX, "the size of the tokenizer");
  }
  lua_newtable(L);
  lua_setiuservalue(L, 2, IDS);
  h->s = sampler_new(&cfg, seed, stream);
  type = raw_field(L, 1, "memory");
  if (type == LUA_TSTRING) remember_text(L, h->s, lua_tostring(L, -1));
  else if (type != LUA_TNIL) return luaL_error(L, "memory: expected a text, found a %s", lua_typename(L, type));
  lua_settop(L, 2);
  return 1;
}

/* ---- what it does ---- */

/* What the script's function makes of the logits [V], in their place. */
static void call_hook(lua_State *L, real *logits, int V)
{
  if (lua_getiuservalue(L, 1, HOOK_ON_LOGITS) == LUA_TNIL) return;
  tensor_write(new_owned(L, 1, &V), 0, (size_t)V, logits);
  lua_getiuservalue(L, 1, IDS);
  if (guarded_pcall(L, 2, 1) != LUA_OK) rethrow(L);
  if (!is_tensor(L, -1))
    luaL_error(L, "pick: the function on logits returned a %s, expected a tensor", type_text(L, -1));
  const Tensor *t = check_numbers(L, -1);
  if (t->n != (size_t)V)
    luaL_error(L, "pick: the function on logits returned %s, expected %d numbers", tensor_shape(t), V);
  tensor_read(t, 0, t->n, logits);
}

/* s:pick(logits, row) -> an id, from 0. logits: [V]; or of a batch, [B,V] or [B,1,V], of which the row is one */
static int pick(lua_State *L)
{
  int ids = check_handle(L)->ids;
  const Tensor *t = check_numbers(L, 2);
  int V = t->axes ? t->shape[t->axes - 1] : 0, rows = V ? (int)(t->n / (size_t)V) : 0;
  if (!V || (rows > 1 && lua_isnoneornil(L, 3)))
    return luaL_error(L, "pick: the logits are %s, expected those of one position, [V], or a row", tensor_shape(t));
  int row = opt_int_argument(L, 3, 1, rows, 1, "pick: the row");
  real *logits = lua_newuserdatauv(L, (size_t)V * sizeof *logits, 0);
  tensor_read(t, (size_t)(row - 1) * (size_t)V, (size_t)V, logits);
  call_hook(L, logits, V);
  lua_pushinteger(L, sampler_pick(check_sampler(L), logits, V < ids ? V : ids));
  return 1;
}

static int saw(lua_State *L) /* s:saw(id): the token comes into the text; its penalty grows, those of others fade */
{
  int id = int_argument(L, 2, 0, INT_MAX, "saw: the id");
  check_sampler(L);
  lua_settop(L, 2);
  double weight = weight_of(L, id);
  sampler_saw(check_sampler(L), id, weight);
  lua_getiuservalue(L, 1, IDS);
  lua_pushinteger(L, id);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  return 0;
}

static int to_string(lua_State *L)
{
  const SamplerConfig *c = &check_sampler(L)->cfg;
  lua_pushfstring(L, "sampler, temperature %f, top_p %f, top_k %d", c->temperature, c->top_p, c->top_k);
  return 1;
}

static int collect(lua_State *L)
{
  Handle *h = luaL_checkudata(L, 1, class);
  sampler_free(h->s);
  h->s = NULL;
  return 0;
}

void open_sampler(lua_State *L)
{
  add_class(L, class, (luaL_Reg[]){{"pick", pick}, {"saw", saw}, {"memory", memory}, {NULL, NULL}},
            (luaL_Reg[]){{"__tostring", to_string}, {"__gc", collect}, {NULL, NULL}});
  add_functions(L, (luaL_Reg[]){{"sampler", make}, {NULL, NULL}});
}

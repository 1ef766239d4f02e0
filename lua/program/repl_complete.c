/* Names for Tab. What stands before the last '.' or ':' is looked up, never evaluated: finalizers wait, and neither
   functions nor metamethods are called. */
#include "repl.h"

#include <ctype.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CLASSES = 8 }; /* an __index may lead to a table that has one, in a circle even */

static const char *const keywords[] = {"and",      "break",  "do",   "else", "elseif", "end",   "false", "for",
                                       "function", "goto",   "if",   "in",   "local",  "nil",   "not",   "or",
                                       "repeat",   "return", "then", "true", "until",  "while", NULL};

static bool is_name(const char *s)
{
  if (!isalpha((unsigned char)*s) && *s != '_') return false;
  while (isalnum((unsigned char)*s) || *s == '_') s++;
  return !*s;
}

/* Replaces the value on top by the table that its class looks names up in, or nil. */
static void to_class(lua_State *L)
{
  if (lua_getmetatable(L, -1)) {
    lua_pushliteral(L, "__index");
    lua_rawget(L, -2);
    if (lua_isfunction(L, -1)) { /* our own classes name their methods */
      lua_pop(L, 1);
      lua_pushliteral(L, "methods");
      lua_rawget(L, -2);
    }
    lua_replace(L, -3);
    lua_pop(L, 1);
  } else {
    lua_pop(L, 1);
    lua_pushnil(L);
  }
  if (!lua_istable(L, -1)) {
    lua_pop(L, 1);
    lua_pushnil(L);
  }
}

/* Replaces the value on top by its field, or nil. */
static void to_field(lua_State *L, const char *name, size_t length)
{
  if (!lua_istable(L, -1)) to_class(L);
  for (int i = 0; i < MOST_CLASSES && lua_istable(L, -1); i++) {
    lua_pushlstring(L, name, length);
    if (lua_rawget(L, -2) != LUA_TNIL) {
      lua_remove(L, -2);
      return;
    }
    lua_pop(L, 1);
    to_class(L);
  }
  lua_pop(L, 1);
  lua_pushnil(L);
}

/* Adds a word to the set at index 1. */
static void add_word(lua_State *L, const char *before, size_t length, const char *name)
{
  lua_pushlstring(L, before, length);
  lua_pushstring(L, name);
  lua_concat(L, 2);
  lua_pushboolean(L, true);
  lua_rawset(L, 1);
}

/* Adds the fields of the value on top, and of its classes, that begin with `start`. */
static void add_fields(lua_State *L, const char *before, size_t length, const char *start, bool functions_only)
{
  if (!lua_istable(L, -1)) to_class(L);
  for (int i = 0; i < MOST_CLASSES && lua_istable(L, -1); i++, to_class(L))
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
      const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
      if (strncmp(name, start, strlen(start)) || !is_name(name)) continue;
      if ((strncmp(name, "__", 2) == 0 && *start != '_') || (functions_only && !lua_isfunction(L, -1))) continue;
      add_word(L, before, length, name);
    }
  lua_pop(L, 1);
}

static int find_words(lua_State *L) /* (text) -> set of words */
{
  const char *text = lua_touserdata(L, 1), *at = text;
  lua_newtable(L);
  lua_replace(L, 1);
  lua_pushglobaltable(L);
  for (size_t n; n = strcspn(at, ".:"), at[n]; at += n + 1) {
    to_field(L, at, n);
    if (at[n] == ':' && strpbrk(at + n + 1, ".:")) return lua_settop(L, 1), 1; /* a:b.c is no Lua */
  }
  if (at == text)
    for (int i = 0; keywords[i]; i++)
      if (strncmp(keywords[i], text, strlen(text)) == 0) add_word(L, "", 0, keywords[i]);
  add_fields(L, text, (size_t)(at - text), at, at > text && at[-1] == ':');
  return 1;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

char **complete_words(lua_State *L, const char *text)
{
  int top = lua_gettop(L), collecting = lua_gc(L, LUA_GCISRUNNING), n = 0, room = 0;
  char **words = NULL;
  lua_gc(L, LUA_GCSTOP);
  lua_pushcfunction(L, find_words);
  lua_pushlightuserdata(L, (void *)text);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK)
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
      if (n + 1 >= room) {
        char **more = realloc(words, (size_t)(room += 64) * sizeof *words);
        if (!more) break;
        words = more;
      }
      words[n] = strdup(lua_tostring(L, -2));
      if (words[n]) n++;
    }
  lua_settop(L, top);
  if (collecting) lua_gc(L, LUA_GCRESTART);
  if (!words) return NULL;
  words[n] = NULL;
  qsort(words, (size_t)n, sizeof *words, by_name);
  return words;
}

void free_words(char **words)
{
  for (int i = 0; words && words[i]; i++) free(words[i]);
  free(words);
}

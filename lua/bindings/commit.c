/* The commit that the program was built from, and which files of Lua are its. */
#include "bind.h"

#include "commit.h"

#include <string.h>

static const char *const of_commit[] = {AVIARY_FILES}; /* the first digits of their digests; ends with NULL */
enum { DIGITS = 16 };

/* is_of_commit(digest) -> whether the commit has a file of Lua with these contents; nil if nobody knows */
static int is_of_commit(lua_State *L)
{
  size_t n;
  const char *digest = luaL_checklstring(L, 1, &n);
  luaL_argcheck(L, n >= DIGITS, 1, "expected a digest");
  if (!*of_commit) return lua_pushnil(L), 1;
  bool found = false;
  for (const char *const *f = of_commit; *f && !found; f++) found = memcmp(*f, digest, DIGITS) == 0;
  lua_pushboolean(L, found);
  return 1;
}

void open_commit(lua_State *L)
{
  add_private(L, (luaL_Reg[]){{"is_of_commit", is_of_commit}, {NULL, NULL}});
  lua_pushliteral(L, AVIARY_COMMIT);
  lua_setfield(L, -2, "commit");
}

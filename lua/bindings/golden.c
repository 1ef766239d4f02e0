/* verify(model, path of a golden file, tol) -> list of lines; see ref/model/golden.h. */
#include "bind.h"

#include <math.h>

typedef struct {
  Model *m;
  TensorFile *file;
  double tol;
  GoldenLine *lines;
  int count;
} Job;

static void run(void *arg)
{
  Job *j = arg;
  j->count = golden_verify(j->m, j->file, j->tol, j->lines);
}

static void push_line(lua_State *L, const GoldenLine *l)
{
  const struct {
    const char *name;
    double value;
  } numbers[] = {
      {"tensors", l->tensors},     {"worst_abs", l->worst_abs}, {"worst_rel", l->worst_rel}, {"worst", l->worst},
      {"index", (double)l->index}, {"found", l->found},         {"expected", l->expected},   {"tol", l->tol}};
  const struct {
    const char *name, *value;
  } texts[] = {{"kind", l->kind}, {"problem", l->problem}, {"note", l->note}, {"at", l->at}};
  lua_newtable(L);
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    lua_pushnumber(L, numbers[i].value);
    lua_setfield(L, -2, numbers[i].name);
  }
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    lua_pushstring(L, texts[i].value);
    lua_setfield(L, -2, texts[i].name);
  }
  lua_pushboolean(L, golden_line_ok(l));
  lua_setfield(L, -2, "ok");
}

static int verify(lua_State *L)
{
  Job j = {.m = check_model(L, 1), .tol = luaL_checknumber(L, 3)};
  const char *path = luaL_checkstring(L, 2);
  /* here is another tape, and a boundary that errors of hooks pass by */
  for (int i = 0; i < j.m->d.L * HOOK_SLOTS; i++) {
    const Hook *h = dims_hook(&j.m->d, (HookSlot)(i % HOOK_SLOTS), i / HOOK_SLOTS);
    if (h && h->apply == hook_call)
      return luaL_error(L, "verify: official numbers are for official models, this one has the %s hook \"%s\"",
                        hook_slots[h->slot].name, h->name);
  }
  j.lines = lua_newuserdatauv(L, GOLDEN_MAX_LINES * sizeof *j.lines, 0);
  j.file = file_open(path);
  const char *error = rwkv_protect(run, &j);
  file_close(j.file);
  if (error) return luaL_error(L, "%s", error);
  lua_createtable(L, j.count, 0);
  for (int i = 0; i < j.count; i++) {
    push_line(L, &j.lines[i]);
    lua_seti(L, -2, i + 1);
  }
  return 1;
}

void open_golden(lua_State *L) { add_functions(L, (luaL_Reg[]){{"verify", verify}, {NULL, NULL}}); }

#include "bounds.h"

#include "backend.h"
#include "err.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { FOUND = 2, FIRST_ROOM = 256 }; /* numbers of a result; checks that there is room for at first */

typedef struct {
  int axes, shape[MAX_AXES];
  char whose[320], what[64];
} Check;

struct BoundsList {
  BoundsList *next;
  Check *check;
  acc *found; /* [room,FOUND] in the backend's memory */
  size_t count, room;
};

static BoundsList *lists;

BoundsList *bounds_new(void)
{
  BoundsList *list = rwkv_alloc(1, sizeof *list, "checks");
  list->next = lists;
  return lists = list;
}

static void give_room(BoundsList *list)
{
  backend_free(list->found, list->room * FOUND * sizeof *list->found);
  rwkv_release(list->check);
  list->found = NULL, list->check = NULL, list->room = 0;
}

void bounds_free(BoundsList *list)
{
  BoundsList **at = &lists;
  while (*at != list) at = &(*at)->next;
  *at = list->next;
  give_room(list);
  rwkv_release(list);
}

/* ---- what is wrong ---- */

static size_t failures; /* of looks */
static char last[600];

static const char *text_of(const Check *c, const acc *found)
{
  char number[32];
  snprintf(number, sizeof number, "%g", (double)found[1]);
  snprintf(last, sizeof last, "%s %s%s%s, expected %s", c->whose, isnan(found[1]) ? "nan" : number,
           c->axes ? " at " : "", c->axes ? shape_place(c->axes, c->shape, (size_t)found[0]) : "", c->what);
  return last;
}

size_t bounds_failures(void) { return failures; }

void bounds_fail_again(size_t before)
{
  if (failures != before) rwkv_fail("%s", last);
}

static Check describe(const Tensor *t, const BoundsRange *r, BoundsTitle *whose, const void *arg)
{
  Check c = {.axes = t->axes};
  memcpy(c.shape, t->shape, sizeof c.shape);
  snprintf(c.whose, sizeof c.whose, "%s", whose(arg));
  snprintf(c.what, sizeof c.what, "%s", r->what);
  return c;
}

/* ---- later ---- */

/* The first that did not hold, of a list that is empty from here on. */
static bool look(BoundsList *list, Check *bad, acc *bad_found)
{
  size_t count = list->count;
  if (!count) return false;
  list->count = 0;
  acc *found = rwkv_alloc(count, FOUND * sizeof *found, "results of checks");
  backend_read(found, list->found, count * FOUND * sizeof *found);
  size_t i = 0;
  while (i < count && found[i * FOUND] < 0) i++;
  if (i < count) *bad = list->check[i], memcpy(bad_found, found + i * FOUND, FOUND * sizeof *found);
  rwkv_release(found);
  return i < count;
}

void bounds_look(void)
{
  Check bad, other;
  acc found[FOUND], other_found[FOUND];
  bool any = false;
  for (BoundsList *list = lists; list; list = list->next) {
    if (!any) any = look(list, &bad, found);
    else (void)look(list, &other, other_found);
  }
  if (!any) return;
  failures++;
  rwkv_fail("%s", text_of(&bad, found));
}

/* More room than ever was needed; what was put down so far is looked at. */
static void make_room(BoundsList *list)
{
  size_t room = list->room ? 2 * list->room : FIRST_ROOM;
  bounds_look();
  give_room(list);
  list->check = rwkv_alloc(room, sizeof *list->check, "checks");
  list->found = backend_alloc(room * FOUND * sizeof *list->found, "results of checks");
  list->room = room;
}

void bounds_check(BoundsList *list, const Tensor *t, const BoundsRange *r, BoundsTitle *whose, const void *arg)
{
  Bounds op = {.x = t->data, .low = (acc)r->low, .high = (acc)r->high, .rule = r->rule, .n = t->n};
  acc found[FOUND];
  if (!t->n) return;
  if (backend_memory.in_process()) {
    op.found = found;
    run_bounds(&op);
    backend_flush();
    Check bad = found[0] >= 0 ? describe(t, r, whose, arg) : (Check){0};
    if (found[0] >= 0) rwkv_fail("%s", text_of(&bad, found));
    return;
  }
  if (list->count == list->room) make_room(list);
  list->check[list->count] = describe(t, r, whose, arg);
  op.found = list->found + list->count * FOUND;
  run_bounds(&op);
  list->count++;
}

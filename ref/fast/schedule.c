/* Work that waits. A training step is thousands of loops over tensors that are too large for a cache. Most of them are
   made of independent parts: what happens to one sequence of a batch has nothing to do with the next. So the loops are
   put on a list, and run when somebody wants to see a result: all of them for the first few sequences (a tile), whose
   numbers stay in the cache from one loop to the next, then all for the next tile; tiles are shared among threads.

   What does not come in such parts (a gradient of weights is a sum over the batch) waits in a second list, and runs
   as a whole after the tiles. The tiles depend on the sizes alone, so the results do not depend on the threads.

   The lists are kept right by what the table of ops says of the memory that each op uses (Use): work that may not run
   where it would end up in the order makes everything before it run first. */
#include "f_job.h"
#include "pool.h"
#include "../engine/arena.h"

#include <string.h>

typedef struct {
  Job *job;
  void *arg;
  size_t n, grain; /* grain 0: one call, on the first thread, which may use others */
  size_t first;    /* of its pieces, in the group it runs in */
  bool joins;      /* what was put after the tiles before it may run beside it */
} Waiting;

/* What waiting work does with one piece of memory. */
typedef struct {
  const void *at;
  size_t bytes; /* that are cut into tiles; 0: none yet */
  unsigned round;
  bool mixed;                     /* several such sizes: a tile has a part of each */
  bool read, written;             /* by tiles, each its own part */
  bool whole_read, whole_written; /* as a whole: by a tile, or after the tiles */
  size_t zeros;                   /* 1 + the place in the list that clears it, if nobody has used it since */
} Seen;

enum { MOST = 4096, SLOTS = 4 * MOST, TILE_NUMBERS = 16384, MUCH = 64 << 20 };

static struct {
  size_t tiles;   /* 0 or 1: nothing waits */
  size_t numbers; /* of a tensor in a tile; what is smaller than a quarter of that waits for nobody */
  bool running, joins;
  Waiting tiled[MOST], after[MOST];
  size_t tiled_count, after_count, seen_count;
  Arena memory;
  size_t little; /* bytes of fast_little_memory that are taken */
  unsigned round;
  Seen seen[SLOTS];
} schedule = {.round = 1, .numbers = TILE_NUMBERS};

/* ---- running ---- */

static void run_tile(const void *none, size_t tile)
{
  (void)none;
  for (size_t i = 0; i < schedule.tiled_count; i++) {
    const Waiting *w = &schedule.tiled[i];
    size_t part = w->n / schedule.tiles;
    w->job(w->arg, tile * part, (tile + 1) * part);
  }
}

static void run_piece(const void *arg, size_t i)
{
  const Waiting *w = arg; /* the last of the group */
  while (i < w->first) w--;
  size_t from = (i - w->first) * w->grain;
  w->job(w->arg, from, smaller(w->n, from + w->grain));
}

/* Those that may run beside each other, from w on: their pieces are shared out together. Returns what follows. */
static Waiting *run_group(Waiting *w, const Waiting *end)
{
  if (!w->grain) {
    w->job(w->arg, 0, w->n);
    return w + 1;
  }
  size_t count = 0;
  Waiting *next = w;
  do {
    next->first = count;
    count += pieces(next->n, next->grain);
    next++;
  } while (next < end && next->grain && next->joins);
  pool_run(fast_threads(), count, run_piece, next - 1);
  return next;
}

static void forget_memory(void)
{
  arena_reset(&schedule.memory);
  schedule.little = 0;
}

void fast_flush(void)
{
  if (schedule.running || (!schedule.tiled_count && !schedule.after_count)) return;
  schedule.running = true;
  if (schedule.tiled_count) pool_run(fast_threads(), schedule.tiles, run_tile, NULL);
  for (Waiting *w = schedule.after, *end = w + schedule.after_count; w < end;) w = run_group(w, end);
  schedule.tiled_count = schedule.after_count = schedule.seen_count = 0;
  schedule.round++;
  forget_memory();
  schedule.running = false;
}

void fast_set_tile(size_t numbers)
{
  fast_flush();
  schedule.numbers = numbers ? numbers : TILE_NUMBERS;
}

/* The largest number of tiles that cuts the batch evenly and leaves a tensor its numbers in a tile. */
void fast_batch(size_t B, size_t T, size_t C)
{
  size_t tiles = B, most = pieces(B * T * C, schedule.numbers);
  while (tiles > 1 && (tiles > most || B % tiles)) tiles--;
  if (tiles != schedule.tiles) fast_flush();
  schedule.tiles = tiles;
}

/* ---- waiting ---- */

/* Memory that a piece of work uses: by parts, each its own; or as a whole, every part all of it. */
typedef struct {
  const void *at;
  size_t bytes;
  bool written, whole;
} Use;

static size_t uses_of(Use *use, OpId id, const void *op, bool whole)
{
  Operand operand[MOST_OPERANDS];
  size_t uses = 0;
  for (int i = 0, n = op_rows[id].operands(op, operand); i < n; i++) {
    const Operand *o = &operand[i];
    if (o->data && o->access != SCRATCH && o->access != INDEX)
      use[uses++] = (Use){o->data, o->count * o->size, o->access != READ, whole || !o->in_parts};
  }
  return uses;
}

static Seen *seen_of(const void *at, bool add)
{
  size_t i = ((size_t)at >> 6) * 0x9E3779B97F4A7C15u >> 40;
  for (;; i++) {
    Seen *s = &schedule.seen[i % SLOTS];
    if (s->round == schedule.round && s->at == at) return s;
    if (s->round == schedule.round) continue;
    if (!add) return NULL;
    *s = (Seen){.at = at, .round = schedule.round};
    schedule.seen_count++;
    return s;
  }
}

bool fast_read_later(const void *p)
{
  const Seen *s = seen_of(p, false);
  return s && s->whole_read;
}

/* Whether work with this use may not run before, or beside, what waits. */
static bool conflicts(const Use *u, When when)
{
  const Seen *s = seen_of(u->at, false);
  if (!s) return false;
  bool apart = s->mixed || s->bytes != u->bytes; /* the parts of tiles are not the same parts */
  if (when == NOW) return s->written || s->whole_written || (u->written && (s->read || s->whole_read));
  if (when == AFTER) return false;
  if (u->whole) return !u->written && (s->written || s->whole_written); /* what is written whole comes later */
  if (s->whole_written || (s->written && apart)) return true;
  return u->written && (s->whole_read || (s->read && apart));
}

static bool any_conflict(const Use *use, size_t uses, When when)
{
  for (size_t i = 0; i < uses; i++)
    if (conflicts(&use[i], when)) return true;
  return false;
}

static void remember(const Use *use, size_t uses, When when)
{
  for (size_t i = 0; i < uses; i++) {
    Seen *s = seen_of(use[i].at, true);
    bool whole = use[i].whole || when == AFTER;
    s->zeros = 0;
    if (!whole) {
      s->mixed |= s->bytes && s->bytes != use[i].bytes;
      s->bytes = use[i].bytes;
    }
    *(use[i].written ? whole ? &s->whole_written : &s->written : whole ? &s->whole_read : &s->read) = true;
  }
}

/* Whether nothing that waits for the end of the tiles writes what these use then, or uses what they write. */
static bool joins(const Use *use, size_t uses, When when)
{
  for (size_t i = 0; i < uses; i++) {
    const Seen *s = use[i].whole || when == AFTER ? seen_of(use[i].at, false) : NULL;
    if (s && (s->whole_written || (use[i].written && s->whole_read))) return false;
  }
  return true;
}

static bool comes_in_tiles(size_t parts, const Use *use, size_t uses)
{
  if (schedule.tiles < 2 || parts % schedule.tiles) return false;
  size_t largest = 0;
  for (size_t i = 0; i < uses; i++) {
    if (use[i].whole) continue;
    if (use[i].bytes % schedule.tiles) return false;
    if (use[i].bytes > largest) largest = use[i].bytes;
  }
  return largest >= schedule.numbers / 4 * sizeof(real) || (largest && any_conflict(use, uses, NOW));
}

/* Nothing waits, and this need not either: the usual case of a single token. */
static bool is_free(bool whole)
{
  if (schedule.running) return true;
  if (schedule.tiled_count || schedule.after_count) return false;
  if (schedule.memory.current) forget_memory();
  return whole || schedule.tiles < 2;
}

static When when_of(OpId id, const void *op, bool whole)
{
  Use use[MOST_OPERANDS];
  size_t uses = uses_of(use, id, op, whole);
  bool tiles = !whole && comes_in_tiles(op_rows[id].parts(op), use, uses);
  bool full = schedule.seen_count + uses > SLOTS / 2 || schedule.tiled_count == MOST || schedule.after_count + 2 > MOST;
  if (full || (tiles && any_conflict(use, uses, TILED))) fast_flush();
  When at = tiles ? TILED : any_conflict(use, uses, NOW) ? AFTER : NOW;
  schedule.joins = joins(use, uses, at);
  if (at != NOW) remember(use, uses, at);
  return at;
}

When fast_when(OpId id, const void *op) { return is_free(false) ? NOW : when_of(id, op, false); }
When fast_when_whole(OpId id, const void *op) { return is_free(true) ? NOW : when_of(id, op, true); }

void *fast_memory(size_t bytes) { return arena_alloc(&schedule.memory, bytes); }

void *fast_little_memory(size_t bytes)
{
  if (bytes > MUCH - schedule.little) return NULL;
  schedule.little += bytes;
  return fast_memory(bytes);
}

void *fast_keep(const void *from, size_t bytes)
{
  void *copy = fast_memory(bytes);
  if (bytes) memcpy(copy, from, bytes);
  return copy;
}

void fast_put(When when, size_t n, size_t grain, Job *job, const void *arg, size_t arg_size)
{
  Waiting w = {.job = job, .n = n, .grain = grain, .joins = schedule.joins};
  if (when == NOW) {
    if (grain) fast_for(n, grain, job, arg);
    else job(arg, 0, n);
    return;
  }
  w.arg = fast_keep(arg, arg_size);
  if (when == TILED) schedule.tiled[schedule.tiled_count++] = w;
  else schedule.after[schedule.after_count++] = w, schedule.joins = false; /* what is put beside it is made from it */
}

/* ---- zeros ---- */

static void clear(const void *arg, size_t from, size_t to)
{
  const Clear *q = arg;
  memset(q->x + from, 0, (to - from) * sizeof *q->x);
}

void f_clear(const Clear *q)
{
  When when = fast_when(OP_clear, q);
  fast_put(when, q->n, LIGHT, clear, q, sizeof *q);
  if (when == TILED) seen_of(q->x, true)->zeros = schedule.tiled_count;
}

bool fast_overwrite(const void *at)
{
  Seen *s = at ? seen_of(at, false) : NULL;
  if (!s || !s->zeros) return false;
  schedule.tiled[s->zeros - 1].n = 0;
  s->zeros = 0;
  return true;
}

size_t fast_tile_count(void) { return schedule.tiles; }

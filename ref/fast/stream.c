/* Work that waits. A training step is thousands of loops over tensors that are too large for a cache. Most of them are
   made of independent parts: what happens to one sequence of a batch has nothing to do with the next. So the loops are
   put on a list, and run when somebody wants to see a result: all of them for the first few sequences (a tile), whose
   numbers stay in the cache from one loop to the next, then all for the next tile; tiles are shared among threads.

   What does not come in such parts (a gradient of weights is a sum over the batch) waits in a second list, and runs
   as a whole after the tiles. The tiles depend on the sizes alone, so the results do not depend on the threads.

   The lists are kept right by what the table of ops says of the memory that each op uses (Use): work that may not run at the
   place in the order where it would end up makes everything before it run first. */
#include "f_inside.h"
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

enum { MOST = 4096, SLOTS = 4 * MOST, TILE_NUMBERS = 16384 };

static struct {
  size_t tiles;   /* 0 or 1: nothing waits */
  size_t numbers; /* of a tensor in a tile; what is smaller than a quarter of that waits for nobody */
  bool running, joins;
  Waiting tiled[MOST], after[MOST];
  size_t tiled_count, after_count, seen_count;
  Arena memory;
  unsigned round;
  Seen seen[SLOTS];
} stream = {.round = 1, .numbers = TILE_NUMBERS};

/* ---- running ---- */

static void run_tile(const void *none, size_t tile)
{
  (void)none;
  for (size_t i = 0; i < stream.tiled_count; i++) {
    const Waiting *w = &stream.tiled[i];
    size_t part = w->n / stream.tiles;
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

void fast_flush(void)
{
  if (stream.running || (!stream.tiled_count && !stream.after_count)) return;
  stream.running = true;
  if (stream.tiled_count) pool_run(fast_threads(), stream.tiles, run_tile, NULL);
  for (Waiting *w = stream.after, *end = w + stream.after_count; w < end;) w = run_group(w, end);
  stream.tiled_count = stream.after_count = stream.seen_count = 0;
  stream.round++;
  arena_reset(&stream.memory);
  stream.running = false;
}

void fast_set_tile(size_t numbers)
{
  fast_flush();
  stream.numbers = numbers ? numbers : TILE_NUMBERS;
}

/* The largest number of tiles that cuts the batch evenly and leaves a tensor its numbers in a tile. */
void fast_batch(size_t B, size_t T, size_t C)
{
  size_t tiles = B, most = pieces(B * T * C, stream.numbers);
  while (tiles > 1 && (tiles > most || B % tiles)) tiles--;
  if (tiles != stream.tiles) fast_flush();
  stream.tiles = tiles;
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
    Seen *s = &stream.seen[i % SLOTS];
    if (s->round == stream.round && s->at == at) return s;
    if (s->round == stream.round) continue;
    if (!add) return NULL;
    *s = (Seen){.at = at, .round = stream.round};
    stream.seen_count++;
    return s;
  }
}

bool fast_read_later(const void *p)
{
  const Seen *s = seen_of(p, false);
  return s && s->whole_read;
}

/* Whether work with this use may not run before, or beside, what waits. */
static bool conflicts(const Use *u, Place place)
{
  const Seen *s = seen_of(u->at, false);
  if (!s) return false;
  bool apart = s->mixed || s->bytes != u->bytes; /* the parts of tiles are not the same parts */
  if (place == NOW) return s->written || s->whole_written || (u->written && (s->read || s->whole_read));
  if (place == AFTER) return false;
  if (u->whole) return !u->written && (s->written || s->whole_written); /* what is written whole comes later */
  if (s->whole_written || (s->written && apart)) return true;
  return u->written && (s->whole_read || (s->read && apart));
}

static bool any_conflict(const Use *use, size_t uses, Place place)
{
  for (size_t i = 0; i < uses; i++)
    if (conflicts(&use[i], place)) return true;
  return false;
}

static void remember(const Use *use, size_t uses, Place place)
{
  for (size_t i = 0; i < uses; i++) {
    Seen *s = seen_of(use[i].at, true);
    bool whole = use[i].whole || place == AFTER;
    s->zeros = 0;
    if (!whole) {
      s->mixed |= s->bytes && s->bytes != use[i].bytes;
      s->bytes = use[i].bytes;
    }
    *(use[i].written ? whole ? &s->whole_written : &s->written : whole ? &s->whole_read : &s->read) = true;
  }
}

/* Whether nothing that waits for the end of the tiles writes what these use then, or uses what they write. */
static bool joins(const Use *use, size_t uses, Place place)
{
  for (size_t i = 0; i < uses; i++) {
    const Seen *s = use[i].whole || place == AFTER ? seen_of(use[i].at, false) : NULL;
    if (s && (s->whole_written || (use[i].written && s->whole_read))) return false;
  }
  return true;
}

static bool comes_in_tiles(size_t parts, const Use *use, size_t uses)
{
  if (stream.tiles < 2 || parts % stream.tiles) return false;
  size_t largest = 0;
  for (size_t i = 0; i < uses; i++) {
    if (use[i].whole) continue;
    if (use[i].bytes % stream.tiles) return false;
    if (use[i].bytes > largest) largest = use[i].bytes;
  }
  return largest >= stream.numbers / 4 * sizeof(real) || (largest && any_conflict(use, uses, NOW));
}

static Place place(OpId id, const void *op, bool whole)
{
  Use use[MOST_OPERANDS];
  if (stream.running) return NOW;
  bool empty = !stream.tiled_count && !stream.after_count;
  if (empty) arena_reset(&stream.memory);
  if (empty && (whole || stream.tiles < 2)) return NOW;
  size_t uses = uses_of(use, id, op, whole);
  bool tiles = !whole && comes_in_tiles(op_rows[id].parts(op), use, uses);
  bool full = stream.seen_count + uses > SLOTS / 2 || stream.tiled_count == MOST || stream.after_count + 2 > MOST;
  if (full || (tiles && any_conflict(use, uses, TILED))) fast_flush();
  Place at = tiles ? TILED : any_conflict(use, uses, NOW) ? AFTER : NOW;
  stream.joins = joins(use, uses, at);
  if (at != NOW) remember(use, uses, at);
  return at;
}

Place fast_place(OpId id, const void *op) { return place(id, op, false); }
Place fast_place_whole(OpId id, const void *op) { return place(id, op, true); }

void *fast_memory(size_t bytes) { return arena_alloc(&stream.memory, bytes); }

void *fast_keep(const void *from, size_t bytes)
{
  void *copy = fast_memory(bytes);
  if (bytes) memcpy(copy, from, bytes);
  return copy;
}

void fast_put(Place place, size_t n, size_t grain, Job *job, const void *arg, size_t arg_size)
{
  Waiting w = {.job = job, .n = n, .grain = grain, .joins = stream.joins};
  if (place == NOW) {
    if (grain) fast_for(n, grain, job, arg);
    else job(arg, 0, n);
    return;
  }
  w.arg = fast_keep(arg, arg_size);
  if (place == TILED) stream.tiled[stream.tiled_count++] = w;
  else stream.after[stream.after_count++] = w, stream.joins = false; /* what is put beside it is made from it */
}

/* ---- zeros ---- */

static void clear(const void *arg, size_t from, size_t to)
{
  const Clear *q = arg;
  memset(q->x + from, 0, (to - from) * sizeof *q->x);
}

void f_clear(const Clear *q)
{
  Place place = fast_place(OP_clear, q);
  fast_put(place, q->n, LIGHT, clear, q, sizeof *q);
  if (place == TILED) seen_of(q->x, true)->zeros = stream.tiled_count;
}

bool fast_overwrite(const void *at)
{
  Seen *s = at ? seen_of(at, false) : NULL;
  if (!s || !s->zeros) return false;
  stream.tiled[s->zeros - 1].n = 0;
  s->zeros = 0;
  return true;
}

size_t fast_tile_count(void) { return stream.tiles; }

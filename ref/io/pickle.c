#include "pickle.h"

#include "../engine/err.h"

#include <string.h>

typedef struct {
  TensorFile *f;
  const unsigned char *bytes;
  size_t size, at, opcode; /* opcode: where the one that runs stands */
  PickleValue **stack;
  size_t count, room;
  size_t *marks; /* how high the stack was */
  size_t mark_count, mark_room;
  PickleValue **memo;
  size_t memo_count, memo_room;
  void (*check)(const char *global);
  bool done;
} Reader;

/* ---- bytes ---- */

_Noreturn static void fail(const Reader *r, const char *what)
{
  rwkv_fail("the pickle %s, at byte %zu of %zu", what, r->opcode, r->size);
}

static const unsigned char *take(Reader *r, uint64_t n)
{
  const unsigned char *p = r->bytes + r->at;
  if (n > r->size - r->at) fail(r, "ends within an opcode");
  r->at += (size_t)n;
  return p;
}

/* Little-endian, up to 8 bytes. */
static uint64_t take_number(Reader *r, int bytes)
{
  const unsigned char *p = take(r, (uint64_t)bytes);
  uint64_t x = 0;
  for (int i = bytes; i-- > 0;) x = x << 8 | p[i];
  return x;
}

/* ---- the stack ---- */

/* A list with room for `wanted`. */
static void *with_room(Reader *r, void *list, size_t count, size_t *room, size_t wanted, size_t size)
{
  if (wanted <= *room) return list;
  size_t more = *room ? 2 * *room : 8;
  while (more < wanted) more *= 2;
  void *larger = format_memory(r->f, more * size);
  if (count) memcpy(larger, list, count * size);
  *room = more;
  return larger;
}

static void push(Reader *r, PickleValue *v)
{
  r->stack = with_room(r, r->stack, r->count, &r->room, r->count + 1, sizeof *r->stack);
  r->stack[r->count++] = v;
}

static PickleValue *push_new(Reader *r, PickleKind kind)
{
  PickleValue *v = format_memory(r->f, sizeof *v);
  *v = (PickleValue){.kind = kind};
  push(r, v);
  return v;
}

/* How low the stack may get: to the last mark. */
static size_t bottom(const Reader *r) { return r->mark_count ? r->marks[r->mark_count - 1] : 0; }

static PickleValue *pop(Reader *r)
{
  if (r->count <= bottom(r)) fail(r, "takes from an empty stack");
  return r->stack[--r->count];
}

static PickleValue *top(Reader *r)
{
  push(r, pop(r));
  return r->stack[r->count - 1];
}

/* The values since the last mark, which is gone then. */
static PickleValue **pop_marked(Reader *r, size_t *count)
{
  if (!r->mark_count) fail(r, "takes values since a mark that is not there");
  size_t from = r->marks[--r->mark_count];
  *count = r->count - from;
  r->count = from;
  return r->stack + from;
}

static void add(Reader *r, PickleValue *to, PickleValue **items, size_t count)
{
  to->items = with_room(r, to->items, to->count, &to->room, to->count + count, sizeof *to->items);
  for (size_t i = 0; i < count; i++) to->items[to->count++] = items[i];
}

/* ---- opcodes; n is what the table says of each ---- */

static void skip(Reader *r, int n) { take(r, (uint64_t)n); }
static void stop(Reader *r, int n) { r->done = n; }

static void mark(Reader *r, int n)
{
  (void)n;
  r->marks = with_room(r, r->marks, r->mark_count, &r->mark_room, r->mark_count + 1, sizeof *r->marks);
  r->marks[r->mark_count++] = r->count;
}

static void drop(Reader *r, int n)
{
  size_t count;
  if (r->mark_count && (n || r->count == bottom(r))) pop_marked(r, &count);
  else if (n) fail(r, "takes values since a mark that is not there");
  else pop(r);
}

static void duplicate(Reader *r, int n) { (void)n, push(r, top(r)); }
static void other(Reader *r, int n) { take(r, (uint64_t)n), push_new(r, PICKLE_OTHER); }
static void truth(Reader *r, int n) { push_new(r, PICKLE_INT)->whole = n; }

/* Of n bytes, of two's complement if negative. */
static void whole(Reader *r, int n)
{
  uint64_t x = take_number(r, n < 0 ? -n : n);
  if (n < 0) x = (uint64_t)(int32_t)(uint32_t)x;
  push_new(r, PICKLE_INT)->whole = (int64_t)x;
}

/* Two's complement of any length, which is said in n bytes. */
static void large(Reader *r, int n)
{
  uint64_t length = take_number(r, n);
  const unsigned char *p = take(r, length);
  PickleValue *v = push_new(r, length <= 8 ? PICKLE_INT : PICKLE_OTHER);
  uint64_t x = length && length <= 8 && p[length - 1] >> 7 ? UINT64_MAX : 0;
  for (uint64_t i = length <= 8 ? length : 0; i-- > 0;) x = x << 8 | p[i];
  v->whole = (int64_t)x;
}

static void text(Reader *r, int n)
{
  uint64_t length = take_number(r, n);
  const char *p = (const char *)take(r, length);
  PickleValue *v = push_new(r, PICKLE_TEXT);
  v->text = p, v->length = (size_t)length;
}

static void bytes(Reader *r, int n)
{
  take(r, take_number(r, n));
  push_new(r, PICKLE_OTHER);
}

static void empty(Reader *r, int kind) { push_new(r, (PickleKind)kind); }

static void tuple(Reader *r, int n)
{
  size_t count = (size_t)n;
  if (n && r->count - bottom(r) < count) fail(r, "takes from an empty stack");
  if (n) r->count -= count;
  PickleValue **items = n ? r->stack + r->count : pop_marked(r, &count), *v = format_memory(r->f, sizeof *v);
  *v = (PickleValue){.kind = PICKLE_TUPLE};
  add(r, v, items, count);
  push(r, v);
}

/* One value, or pair, or what stands since the mark, goes to the value below. */
static void put_in(Reader *r, int n, PickleKind kind)
{
  size_t count = (size_t)n, pair = kind == PICKLE_DICT ? 2 : 1;
  if (n && r->count - bottom(r) < count) fail(r, "takes from an empty stack");
  if (n) r->count -= count;
  PickleValue **items = n ? r->stack + r->count : pop_marked(r, &count), *to = top(r);
  if (count % pair) fail(r, "has a key without a value");
  if (to->kind == kind || to->kind == PICKLE_CALL) add(r, to, items, count);
  else if (kind != PICKLE_OTHER) fail(r, "puts values into something that holds none");
}

static void append(Reader *r, int n) { put_in(r, n, PICKLE_LIST); }
static void set_item(Reader *r, int n) { put_in(r, n, PICKLE_DICT); }

/* What a set holds is of no use. */
static void add_to_set(Reader *r, int n)
{
  size_t count;
  (void)n;
  pop_marked(r, &count);
  if (top(r)->kind != PICKLE_OTHER) fail(r, "adds to something that is no set");
}

static void frozen_set(Reader *r, int n)
{
  size_t count;
  (void)n;
  pop_marked(r, &count);
  push_new(r, PICKLE_OTHER);
}

static void push_global(Reader *r, const char *module, size_t module_length, const char *name, size_t length)
{
  PickleValue *v = push_new(r, PICKLE_GLOBAL);
  char *both = format_memory(r->f, module_length + length + 2);
  memcpy(both, module, module_length);
  both[module_length] = '.';
  memcpy(both + module_length + 1, name, length);
  both[v->length = module_length + 1 + length] = 0;
  v->text = both;
  r->check(both);
}

/* Two lines. */
static void global(Reader *r, int n)
{
  const unsigned char *line[2];
  size_t length[2];
  (void)n;
  for (int i = 0; i < 2; i++) {
    const unsigned char *end = memchr(r->bytes + r->at, '\n', r->size - r->at);
    if (!end) fail(r, "ends within an opcode");
    length[i] = (size_t)(end - (r->bytes + r->at));
    line[i] = take(r, length[i] + 1);
  }
  push_global(r, (const char *)line[0], length[0], (const char *)line[1], length[1]);
}

static void stack_global(Reader *r, int n)
{
  (void)n;
  const PickleValue *name = pop(r), *module = pop(r);
  if (name->kind != PICKLE_TEXT || module->kind != PICKLE_TEXT) fail(r, "names a global by what is no text");
  push_global(r, module->text, module->length, name->text, name->length);
}

static void call(Reader *r, int n)
{
  (void)n;
  const PickleValue *with = pop(r), *what = pop(r);
  if (what->kind != PICKLE_GLOBAL || with->kind != PICKLE_TUPLE) fail(r, "calls something that is no global");
  PickleValue *v = push_new(r, PICKLE_CALL);
  v->what = what, v->with = with;
}

static void stored(Reader *r, int n)
{
  (void)n;
  const PickleValue *which = pop(r);
  push_new(r, PICKLE_STORED)->what = which;
}

/* Attributes of an object: no tensor stands there. */
static void build(Reader *r, int n)
{
  (void)n;
  pop(r), top(r);
}

static void get(Reader *r, int n)
{
  uint64_t i = take_number(r, n);
  if (i >= r->memo_room || !r->memo[i]) fail(r, "remembers what was never kept");
  push(r, r->memo[i]);
}

/* n = 0: at the next place. */
static void put(Reader *r, int n)
{
  uint64_t i = n ? take_number(r, n) : r->memo_count;
  size_t before = r->memo_room;
  if (i >= r->size) fail(r, "keeps more values than it has bytes");
  r->memo = with_room(r, r->memo, before, &r->memo_room, (size_t)i + 1, sizeof *r->memo);
  for (size_t k = before; k < r->memo_room; k++) r->memo[k] = NULL;
  r->memo[i] = top(r);
  r->memo_count++;
}

static const struct {
  void (*run)(Reader *r, int n);
  int n;
} opcodes[256] = {
    [0x80] = {skip, 1}, /* PROTO */
    [0x95] = {skip, 8}, /* FRAME */
    ['.'] = {stop, 1},
    ['('] = {mark, 0},
    ['0'] = {drop, 0},
    ['1'] = {drop, 1},
    ['2'] = {duplicate, 0},
    ['N'] = {other, 0},  /* NONE */
    ['G'] = {other, 8},  /* BINFLOAT */
    [0x88] = {truth, 1}, /* NEWTRUE */
    [0x89] = {truth, 0}, /* NEWFALSE */
    ['J'] = {whole, -4}, /* BININT */
    ['K'] = {whole, 1},  /* BININT1 */
    ['M'] = {whole, 2},  /* BININT2 */
    [0x8a] = {large, 1}, /* LONG1 */
    [0x8b] = {large, 4}, /* LONG4 */
    ['X'] = {text, 4},   /* BINUNICODE */
    [0x8c] = {text, 1},  /* SHORT_BINUNICODE */
    [0x8d] = {text, 8},  /* BINUNICODE8 */
    ['T'] = {text, 4},   /* BINSTRING */
    ['U'] = {text, 1},   /* SHORT_BINSTRING */
    ['B'] = {bytes, 4},  /* BINBYTES */
    ['C'] = {bytes, 1},  /* SHORT_BINBYTES */
    [0x8e] = {bytes, 8}, /* BINBYTES8 */
    [0x96] = {bytes, 8}, /* BYTEARRAY8 */
    [')'] = {empty, PICKLE_TUPLE},
    [']'] = {empty, PICKLE_LIST},
    ['}'] = {empty, PICKLE_DICT},
    [0x8f] = {empty, PICKLE_OTHER}, /* EMPTY_SET */
    ['t'] = {tuple, 0},
    [0x85] = {tuple, 1},
    [0x86] = {tuple, 2},
    [0x87] = {tuple, 3},
    ['a'] = {append, 1},
    ['e'] = {append, 0}, /* APPENDS */
    ['s'] = {set_item, 2},
    ['u'] = {set_item, 0}, /* SETITEMS */
    [0x90] = {add_to_set, 0},
    [0x91] = {frozen_set, 0},
    ['c'] = {global, 0},
    [0x93] = {stack_global, 0},
    ['R'] = {call, 0},  /* REDUCE */
    [0x81] = {call, 0}, /* NEWOBJ */
    ['b'] = {build, 0},
    ['Q'] = {stored, 0}, /* BINPERSID */
    ['h'] = {get, 1},
    ['j'] = {get, 4},
    ['q'] = {put, 1},
    ['r'] = {put, 4},
    [0x94] = {put, 0}, /* MEMOIZE */
};

const PickleValue *pickle_read(TensorFile *f, const unsigned char *bytes_, size_t size,
                               void (*check)(const char *global))
{
  Reader r = {.f = f, .bytes = bytes_, .size = size, .check = check};
  if (size < 2 || *bytes_ != 0x80 || bytes_[1] < 2 || bytes_[1] > 5)
    rwkv_fail("the pickle is of protocol 0 or 1, or none at all; expected 2 to 5");
  r.stack = with_room(&r, NULL, 0, &r.room, 1, sizeof *r.stack);
  for (size_t steps = 0; !r.done; steps++) {
    if (steps % 1024 == 0) rwkv_poll();
    r.opcode = r.at;
    unsigned char code = *take(&r, 1);
    if (!opcodes[code].run)
      rwkv_fail("the pickle has the opcode 0x%02x at byte %zu of %zu, which no file of tensors needs", code, r.opcode,
                size);
    opcodes[code].run(&r, opcodes[code].n);
  }
  if (r.count != 1 || r.mark_count) fail(&r, "leaves something else than one value");
  return r.stack[0];
}

bool pickle_is_text(const PickleValue *v, const char *text_)
{
  size_t n = strlen(text_);
  return v->kind == PICKLE_TEXT && v->length == n && memcmp(v->text, text_, n) == 0;
}

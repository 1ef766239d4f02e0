/* ROSA. A sequence from its beginning on is looked up in a suffix automaton of k (Blumer et al. 1985), in time that
   grows as the sequence does; one that goes on, or of many symbols, in the table. */
#include "f_job.h"

#include "engine/k_rosa_group.h"

enum { MOST_BITS = 4, SHORTEST = 32 }; /* of symbols of an automaton; shorter sequences are as quick in the table */

/* ---- the automaton of k_0 .. k_{i-1} ---- */

typedef struct {
  int length, link, end; /* of the longest suffix; the state of the next shorter ones, -1: none; where they end last */
} State;

typedef struct {
  State *state; /* [2 U] */
  int *next;    /* [2 U,symbols] -1: none */
  int count, last, symbols;
} Automaton;

static int add_state(Automaton *a, int length)
{
  int s = a->count++;
  a->state[s] = (State){length, -1, -1};
  for (int c = 0; c < a->symbols; c++) a->next[s * a->symbols + c] = -1;
  return s;
}

static int clone(Automaton *a, int from, int length)
{
  int s = add_state(a, length);
  a->state[s].link = a->state[from].link, a->state[s].end = a->state[from].end;
  for (int c = 0; c < a->symbols; c++) a->next[s * a->symbols + c] = a->next[from * a->symbols + c];
  return s;
}

/* Adds the symbol c at place i. */
static void extend(Automaton *a, int c, int i)
{
  int s = add_state(a, i + 1), p = a->last;
  for (; p >= 0 && a->next[p * a->symbols + c] < 0; p = a->state[p].link) a->next[p * a->symbols + c] = s;
  if (p < 0) a->state[s].link = 0;
  else {
    int d = a->next[p * a->symbols + c], length = a->state[p].length + 1;
    if (length < a->state[d].length) {
      int b = clone(a, d, length);
      for (; p >= 0 && a->next[p * a->symbols + c] == d; p = a->state[p].link) a->next[p * a->symbols + c] = b;
      a->state[d].link = b, d = b;
    }
    a->state[s].link = d;
  }
  a->last = s;
  for (int v = s; v > 0 && a->state[v].end < i; v = a->state[v].link) a->state[v].end = i;
}

/* Where a longest suffix of q stands: its state and length. */
typedef struct {
  int state, length;
} Match;

/* The shortest state that holds the match; and, after the symbol c, the longest match that there is. */
static Match settled(const Automaton *a, Match m)
{
  while (m.state > 0 && a->state[a->state[m.state].link].length >= m.length) m.state = a->state[m.state].link;
  return m;
}

static Match follow(const Automaton *a, Match m, int c)
{
  while (m.state >= 0 && a->next[m.state * a->symbols + c] < 0) {
    m.state = a->state[m.state].link;
    if (m.state >= 0) m.length = a->state[m.state].length;
  }
  if (m.state < 0) return (Match){0, 0};
  return settled(a, (Match){a->next[m.state * a->symbols + c], m.length + 1});
}

/* ---- a group ---- */

static int symbol(const real *x, size_t bits)
{
  int s = 0;
  for (size_t j = 0; j < bits; j++) s |= (x[j] > 0) << j;
  return s;
}

/* How long the run is that ends with the last token of q and with each of k: of both backwards, how much of the first
   is the beginning of what comes from each place of the second on (the Z function). z, s: [2 U + 1] */
static void last_runs(const Rosa *op, size_t b, size_t group, const int *q, const int *k, int *s, int *z)
{
  int U = (int)op->U, n = 2 * U + 1;
  for (int i = 0; i < U; i++) s[i] = q[U - 1 - i], s[U + 1 + i] = k[U - 1 - i];
  s[U] = -1;
  z[0] = 0;
  for (int i = 1, left = 0, right = 0; i < n; i++) {
    z[i] = i < right ? (right - i < z[i - left] ? right - i : z[i - left]) : 0;
    while (i + z[i] < n && s[z[i]] == s[i + z[i]]) z[i]++;
    if (i + z[i] > right) left = i, right = i + z[i];
  }
  for (int e = 0; e < U; e++) op->runs[(b * op->U + (size_t)e) * op->G + group] = (real)z[n - 1 - e];
}

static void by_automaton(const Rosa *op, size_t b, size_t group, int *memory)
{
  const RosaFlip none = {0, 0, false, false, false};
  int U = (int)op->U, symbols = 1 << op->bits;
  int *q = memory, *k = q + U, *s = k + U, *z = s + 2 * U + 1;
  Automaton a = {(State *)(void *)(z + 2 * U + 1), NULL, 0, 0, symbols};
  a.next = (int *)(void *)(a.state + 2 * U + 1);
  add_state(&a, 0);
  Match m = {0, 0};
  for (int i = 0; i < U; i++) {
    size_t at = rosa_at((RosaGroup){op, b, group}, (size_t)i); /* of y, too: there is nothing before */
    q[i] = symbol(op->q + at, op->bits), k[i] = symbol(op->k + at, op->bits);
    m = follow(&a, settled(&a, m), q[i]);
    size_t read = m.length > 0 ? (size_t)a.state[m.state].end + 1 : 0;
    for (size_t j = 0; j < op->bits; j++) op->y[at + j] = rosa_output((RosaGroup){op, b, group}, read, j, &none);
    extend(&a, k[i], i);
  }
  last_runs(op, b, group, q, k, s, z);
}

static size_t automaton_bytes(const Rosa *op)
{
  size_t states = 2 * op->U + 1;
  return (2 * op->U + 2 * states) * sizeof(int) + states * (sizeof(State) + ((size_t)1 << op->bits) * sizeof(int));
}

/* Groups in parts, each with memory for an automaton of its own; without memory it is the table. */
typedef struct {
  const Rosa *op;
  char *memory;
  size_t parts;
} Parts;

static void parts_forward(const void *arg, size_t from, size_t to)
{
  const Parts *p = arg;
  const Rosa *op = p->op;
  size_t n = op->B * op->G;
  for (size_t part = from; part < to; part++)
    for (size_t i = n * part / p->parts; i < n * (part + 1) / p->parts; i++) {
      if (p->memory) by_automaton(op, i / op->G, i % op->G, (void *)(p->memory + part * automaton_bytes(op)));
      else rosa_forward((RosaGroup){op, i / op->G, i % op->G});
    }
}

void f_rosa(const Rosa *op)
{
  bool begins = op->U == op->T && op->bits <= MOST_BITS && op->T >= SHORTEST && op->U < (size_t)1 << 26;
  Parts p = {op, NULL, smaller(op->B * op->G, (size_t)fast_threads())};
  fast_flush();
  if (begins) p.memory = fast_little_memory(p.parts * automaton_bytes(op));
  fast_for(p.parts, 1, parts_forward, &p);
}

/* ---- backward: the table, sequences and groups apart ---- */

typedef struct {
  const RosaBackward *op;
  real *room; /* [B,G,2,U] */
} Back;

static void numbers_back(const void *arg, size_t from, size_t to)
{
  const Back *back = arg;
  const Rosa *f = &back->op->forward;
  for (size_t i = from; i < to; i++)
    rosa_backward(back->op, (RosaGroup){f, i / f->G, i % f->G}, back->room + i * 2 * f->U, false);
}

static void levels_back(const void *arg, size_t from, size_t to)
{
  const Back *back = arg;
  const Rosa *f = &back->op->forward;
  for (size_t group = from; group < to; group++)
    for (size_t b = 0; b < f->B; b++)
      rosa_backward(back->op, (RosaGroup){f, b, group}, back->room + group * 2 * f->U, true);
}

void f_rosa_backward(const RosaBackward *op)
{
  const Rosa *f = &op->forward;
  fast_flush();
  Back back = {op, fast_memory(f->B * f->G * 2 * f->U * sizeof(real))};
  fast_for(f->B * f->G, 1, numbers_back, &back);
  if (op->glow || op->ghigh) fast_for(f->G, 1, levels_back, &back);
}

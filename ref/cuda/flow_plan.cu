/* Which codes of a flow wait for others, and where values stand. The threads of a block share the numbers of each
   result: what only its own thread reads needs no barrier. */
#include "flow.h"

#include <stdlib.h>

/* ---- stages ---- */

/* Number n of a result is its thread n's, modulo the threads, but for sums along rows that several threads share, and
   sums down columns, which begin at another thread. */
static bool by_thread(const Code *c)
{
  return c->over == OVER_NOTHING || c->over == OVER_BOTH || (c->over == OVER_COLS && flow_share(c->cols) == 1);
}

/* What is given was there before the first barrier. */
static bool is_given(const Flow *f, int value) { return f->value[value].maker == NO_VALUE; }

bool flow_reads_own(const Flow *f, const Code *c, int k)
{
  View v = c->of[k];
  const Value *out = &f->value[c->out];
  if (!flow_in_order(v, out->rows, out->cols) || flow_size(f, v.value) != flow_size(f, c->out)) return false;
  if (is_given(f, v.value)) return c->over == OVER_NOTHING;
  const Code *made = &f->code[f->value[v.value].maker];
  if (c->over == OVER_NOTHING) return by_thread(made);
  if (k != PLUS || c->over == OVER_ROWS) return false;
  return by_thread(c) ? by_thread(made) : made->over == OVER_COLS && flow_share(made->cols) == flow_share(c->cols);
}

static int stages_after(const Flow *f, const Code *c, int k) { return flow_reads_own(f, c, k) ? 0 : 1; }

/* As early as can be; then as late as those that read it let it: matrices are needed for a shorter time. */
static void set_stages(Flow *f)
{
  int late[FLOW_VALUES];
  for (int r = 0; r < f->runs; r++) {
    Code *c = &f->code[f->order[r]];
    c->stage = 0;
    for (int k = 0; k < OPERANDS; k++) {
      if (flow_none(c->of[k]) || is_given(f, c->of[k].value)) continue;
      int stage = f->code[f->value[c->of[k].value].maker].stage + stages_after(f, c, k);
      if (stage > c->stage) c->stage = stage;
    }
    late[c->out] = f->value[c->out].output ? c->stage : FLOW_CODES;
  }
  for (int r = f->runs; r-- > 0;) {
    Code *c = &f->code[f->order[r]];
    if (late[c->out] < FLOW_CODES && late[c->out] > c->stage) c->stage = late[c->out];
    for (int k = 0; k < OPERANDS; k++) {
      if (flow_none(c->of[k]) || is_given(f, c->of[k].value)) continue;
      int *most = &late[c->of[k].value], stage = c->stage - stages_after(f, c, k);
      if (stage < *most) *most = stage;
    }
  }
}

static void sort_by_stage(Flow *f)
{
  for (int r = 1; r < f->runs; r++)
    for (int i = r; i > 0 && f->code[f->order[i]].stage < f->code[f->order[i - 1]].stage; i--) {
      int code = f->order[i];
      f->order[i] = f->order[i - 1], f->order[i - 1] = code;
    }
}

/* ---- threads ---- */

static void set_threads(Flow *f)
{
  enum { MOST = 256 };
  unsigned most = 1, next = 0;
  for (int r = 0; r < f->runs; r++) {
    const Code *c = &f->code[f->order[r]];
    if (c->rows * c->cols > most) most = c->rows * c->cols;
  }
  f->threads = (unsigned)smaller(MOST, pieces(most, WARP) * WARP);
  for (int r = 0; r < f->runs; r++) {
    Code *c = &f->code[f->order[r]];
    if (c->over != OVER_ROWS) continue;
    c->first = next % f->threads;
    next += (unsigned)pieces(c->cols, WARP) * WARP;
  }
}

/* ---- room ---- */

typedef struct {
  int at;
  unsigned size;
  int stage; /* the last that reads it: free after this one */
} Gap;

/* Whose place a value stands in: that of a state, or one of these. */
enum { MADE = -1, FOR_TOKENS = -2, FOR_ALL_TIME = -3 };

typedef struct {
  Flow *flow;
  int last[FLOW_VALUES];      /* the last run that reads it, and */
  int others[FLOW_VALUES];    /* the last stage in which other threads read it, or -1 */
  int home[FLOW_VALUES];      /* whose place it stands in, */
  unsigned held[FLOW_VALUES]; /* and how many numbers that has */
  Gap gap[FLOW_VALUES];
  int gaps;
} Rooms;

static void find_last(Rooms *q)
{
  const Flow *f = q->flow;
  for (int v = 0; v < f->values; v++) q->last[v] = q->others[v] = -1;
  for (int r = 0; r < f->runs; r++) {
    const Code *c = &f->code[f->order[r]];
    for (int k = 0; k < OPERANDS; k++) {
      if (flow_none(c->of[k])) continue;
      q->last[c->of[k].value] = r;
      if (!flow_reads_own(f, c, k)) q->others[c->of[k].value] = c->stage;
    }
  }
}

/* Whether run r may write its result over the value: each thread writes what it alone has read, for the last time. When
   the token is done, the places of its inputs are filled once more, and those of states with what they become. */
static bool in_place(const Rooms *q, int r, int v)
{
  const Flow *f = q->flow;
  const Code *c = &f->code[f->order[r]];
  const Value *out = &f->value[c->out];
  if (q->last[v] != r || f->value[v].output || q->others[v] >= c->stage) return false;
  if (c->over != OVER_NOTHING || flow_size(f, v) != flow_size(f, c->out)) return false;
  if (!out->output) return q->home[v] != FOR_ALL_TIME;
  return q->home[v] == MADE || (q->home[v] >= 0 && q->home[v] == out->becomes);
}

static void place(Rooms *q, int value, int stage)
{
  Flow *f = q->flow;
  unsigned size = flow_size(f, value);
  int best = -1;
  for (int i = 0; i < q->gaps; i++) {
    const Gap *g = &q->gap[i];
    if (g->size >= size && g->stage < stage && (best < 0 || g->size < q->gap[best].size)) best = i;
  }
  q->home[value] = MADE;
  if (best < 0) {
    f->value[value].at = (int)f->room, q->held[value] = size;
    f->room += size;
    return;
  }
  f->value[value].at = q->gap[best].at, q->held[value] = q->gap[best].size;
  q->gap[best] = q->gap[--q->gaps];
}

/* What lasts stands at the beginning, in the order in which it was given: flows that have the same can follow each
   other. */
static void place_given(Rooms *q)
{
  Flow *f = q->flow;
  f->room = 0;
  for (int lasts = 1; lasts >= 0; lasts--)
    for (int v = 0; v < f->values; v++) {
      Value *x = &f->value[v];
      if (x->maker != NO_VALUE || x->lasts != lasts || !(lasts || x->uses)) continue;
      x->at = (int)f->room, f->room += flow_size(f, v);
      q->held[v] = 0; /* nobody else ever has it whole */
      q->home[v] = x->state != NO_VALUE ? x->state : lasts ? FOR_ALL_TIME : FOR_TOKENS;
    }
}

static void set_rooms(Rooms *q)
{
  Flow *f = q->flow;
  place_given(q);
  for (int r = 0; r < f->runs; r++) {
    const Code *c = &f->code[f->order[r]];
    Value *out = &f->value[c->out];
    for (int k = 0; k < OPERANDS && out->at == NO_VALUE; k++) {
      int v = c->of[k].value;
      if (v == NO_VALUE || !in_place(q, r, v)) continue;
      out->at = f->value[v].at, q->held[c->out] = q->held[v], q->home[c->out] = q->home[v];
    }
    if (out->at == NO_VALUE) place(q, c->out, c->stage);
    for (int k = 0; k < OPERANDS; k++) {
      int v = c->of[k].value;
      if (v == NO_VALUE || f->value[v].output || q->last[v] != r || !q->held[v]) continue;
      if (f->value[v].at != out->at) q->gap[q->gaps++] = {f->value[v].at, q->held[v], c->stage};
      q->held[v] = 0;
    }
  }
}

void flow_plan(Flow *f)
{
  Rooms *q = (Rooms *)calloc(1, sizeof *q);
  if (!q) device_fail("out of memory");
  set_stages(f);
  sort_by_stage(f);
  set_threads(f);
  q->flow = f;
  find_last(q);
  set_rooms(q);
  free(q);
}

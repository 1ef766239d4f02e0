/* A batch whose sequences end or begin anew on the way is run in stretches: some of its sequences, from one position to
   another, in which nothing is cut. A sequence that is cut anywhere gives the same, so nobody below has to know. */
#ifndef AVIARY_STRETCH_H
#define AVIARY_STRETCH_H

#include "model.h"

typedef struct {
  int from, T;       /* positions from .. from + T - 1 */
  int count;         /* of these sequences, in rising order: */
  const int *row;    /* [count]; NULL: of all */
  const bool *fresh; /* [count] which begin anew here; NULL: none */
  int64_t *seen;     /* [count] tokens that each has seen before; all equal, if the state grows with them */
} Stretch;

/* Where position i of the stretch, of [count,T], stands in the batch, of [B,positions]. */
static inline int stretch_position(const Stretch *s, int i, int positions)
{
  return (s->row ? s->row[i / s->T] : i / s->T) * positions + s->from + i % s->T;
}

typedef struct {
  Stretch *list;
  int count;
  int64_t *seen; /* [B] tokens that each sequence has seen at the end */
} Stretches;

/* In the order in which they run; in the tape's arena. */
Stretches stretches_of(Tape *tp, const Model *m, const Batch *batch, const State *st);

/* The tensors of a state, [B,..] of all sequences, as a stretch begins with them, [count,..]; and `state` after it. */
Tensor **stretch_state(Tape *tp, const Model *m, const Stretch *s, Tensor **state);
void stretch_keep_state(Tape *tp, const Model *m, const Stretch *s, Tensor **after, Tensor **state);

/* At the end, what grows is as long as the longest sequence. */
void stretches_trim_state(Tape *tp, const Model *m, const Stretches *all, int B, Tensor **state);

/* What the stretches of a batch give for their positions, [positions,C] each and in the order of their positions, as
   one: row i is row place[i] of all of them, or zeros where that is -1. */
Tensor *stretches_join(Tape *tp, Tensor **piece, int count, const int *place, int axes, const int *shape);

/* ---- traces (gather.c) ---- */

/* Shows to somebody what the stretches of a batch show, as of the whole batch. What is not of single positions,
   [B,T,..], is shown as the first stretch has it. */
typedef struct Gathered Gathered;
Gathered *gather_new(Tape *tp, const Batch *batch, const Stretches *all, Trace *to);
Trace *gather_stretch(Gathered *g, int stretch); /* who looks at this one */
void gather_show(Gathered *g);

#endif

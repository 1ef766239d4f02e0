/* The tape: every operation is carried out at once and remembered, so that tape_backward can walk the
   chain rule from a scalar back to the leaves. What the operations compute lives in the tape's arena
   until the step ends.

   Shapes in the comments: [..] any leading axes. Each t_* op fails with its name, what was expected and
   what was found; its result needs a gradient if an operand does and the tape is recording. No kernel
   is called for a result without elements: [65536,65536,16384,0] has none, but 2^46 places to walk. */
#ifndef AVIARY_TAPE_H
#define AVIARY_TAPE_H

#include "arena.h"
#include "bounds.h"
#include "kernels.h"
#include "tensor.h"

typedef struct Tape Tape;
typedef struct Node Node;
typedef struct Spare Spare;

/* Called before the arena is rewound, for those who must save what lives in it. */
typedef struct TapeWatcher {
  void (*before_reset)(struct TapeWatcher *self);
  struct TapeWatcher *next;
} TapeWatcher;

struct Tape {
  Arena arena;         /* tensors, nodes, index lists: all that the host looks at */
  Arena numbers;       /* in the backend's memory */
  Node *last;          /* the most recent operation */
  bool recording;      /* false: values only */
  uint64_t generation; /* grows with every reset: tells whether a tensor is of this step */
  BoundsList *checks;  /* of results of hooks, that wait to be looked at */
  TapeWatcher *watchers;
  Tensor *disposed; /* see tape_dispose */
  Spare *spare;     /* memory of gradients that have been passed on */
};

Tape *tape_new(void); /* recording */
void tape_free(Tape *tp);
/* Ends part of a step: forgets what was computed after the mark, while nothing was recorded. */
typedef struct {
  ArenaMark arena, numbers;
} TapeMark;
TapeMark tape_mark(const Tape *tp);
void tape_rewind(Tape *tp, TapeMark mark);
void tape_reset(Tape *tp);         /* ends the step: every tensor of the tape is gone */
size_t tape_bytes(const Tape *tp); /* held for steps, used or not: what the host looks at, and numbers */
/* From here on the work is about B sequences of T tokens of C channels: a hint that changes no result. */
void tape_batch(Tape *tp, size_t B, size_t T, size_t C);
void tape_dispose(Tape *tp, Tensor *t); /* tensor_free when the step ends: the tape may still refer to it */

/* Adds d loss / d x to the gradient of every x that needs one. `loss` has one element. The part of the
   tape that was walked is spent: its tensors can be read, but no further gradient can flow through, and what has flowed
   into them is gone: only leaves keep their gradient. */
void tape_backward(Tape *tp, Tensor *loss);

Tensor *tape_tensor(Tape *tp, int axes, const int *shape); /* contents undefined */
Tensor *tape_zeros(Tape *tp, int axes, const int *shape);
Tensor *tape_number(Tape *tp, double value);  /* shape [] */
Tensor *tape_copy(Tape *tp, const Tensor *t); /* a leaf without gradient */

/* ---- pointwise; shapes broadcast from the last axis, as in NumPy ---- */
Tensor *t_unary(Tape *tp, UnaryKind kind, Tensor *x);
Tensor *t_binary(Tape *tp, BinaryKind kind, Tensor *a, Tensor *b);
Tensor *t_compare(Tape *tp, CompareKind kind, Tensor *a, Tensor *b); /* 1 where it holds, else 0; no gradient */
Tensor *t_where(Tape *tp, Tensor *mask, Tensor *a, Tensor *b);       /* a where mask is not 0, else b */
Tensor *t_expand(Tape *tp, Tensor *x, int axes, const int *shape);   /* repeated where x has size 1; -1: as it is */
Tensor *t_affine(Tape *tp, Tensor *x, double scale, double offset);  /* scale x + offset */
Tensor *t_clamp(Tape *tp, Tensor *x, double low, double high);       /* no gradient where it is cut */
Tensor *t_lerp(Tape *tp, Tensor *x, Tensor *p, Tensor *mu);          /* x + (p - x) mu; mu [C] or as x */

static inline Tensor *t_add(Tape *tp, Tensor *a, Tensor *b) { return t_binary(tp, B_ADD, a, b); }
static inline Tensor *t_sub(Tape *tp, Tensor *a, Tensor *b) { return t_binary(tp, B_SUB, a, b); }
static inline Tensor *t_mul(Tape *tp, Tensor *a, Tensor *b) { return t_binary(tp, B_MUL, a, b); }
static inline Tensor *t_exp(Tape *tp, Tensor *x) { return t_unary(tp, U_EXP, x); }
static inline Tensor *t_neg(Tape *tp, Tensor *x) { return t_unary(tp, U_NEG, x); }
static inline Tensor *t_tanh(Tape *tp, Tensor *x) { return t_unary(tp, U_TANH, x); }
static inline Tensor *t_sigmoid(Tape *tp, Tensor *x) { return t_unary(tp, U_SIGMOID, x); }
static inline Tensor *t_silu(Tape *tp, Tensor *x) { return t_unary(tp, U_SILU, x); }
static inline Tensor *t_mish(Tape *tp, Tensor *x) { return t_unary(tp, U_MISH, x); }
static inline Tensor *t_relu2(Tape *tp, Tensor *x) { return t_unary(tp, U_RELU2, x); }

/* ---- linear maps and look-up ---- */
Tensor *t_linear(Tape *tp, Tensor *x, Tensor *w);                    /* x [..,in], w [out,in] -> [..,out] */
Tensor *t_linear_bias(Tape *tp, Tensor *x, Tensor *w, Tensor *bias); /* + bias [out] */
Tensor *t_matmul(Tape *tp, Tensor *x, Tensor *m);                    /* x [..,in], m [in,out] -> [..,out] */
Tensor *t_rows(Tape *tp, Tensor *table, const int *index, int axes, const int *shape);
/* index: shape numbers, each 0 .. rows-1; table [rows,C] -> [shape..,C] */

/* ---- normalisation over the last axis ---- */
Tensor *t_layer_norm(Tape *tp, Tensor *x, Tensor *weight, Tensor *bias, double eps);
Tensor *t_group_norm(Tape *tp, Tensor *x, int H, Tensor *weight, Tensor *bias, double eps);
Tensor *t_l2norm(Tape *tp, Tensor *x, int H, double eps); /* each head divided by max(its length, eps) */

/* ---- shapes ---- */
Tensor *t_reshape(Tape *tp, Tensor *x, int axes, const int *shape); /* same memory; one size may be -1 */
Tensor *t_slice(Tape *tp, Tensor *x, int axis, int from, int count);
Tensor *t_concat(Tape *tp, Tensor **parts, int count, int axis);
Tensor *t_append(Tape *tp, Tensor *history, Tensor *x);  /* along axis 1; the history may be empty */
Tensor *t_sum(Tape *tp, Tensor *x, int axis, bool keep); /* keep: the axis stays, with size 1 */
Tensor *t_mean(Tape *tp, Tensor *x, int axis, bool keep);
Tensor *t_sum_all(Tape *tp, Tensor *x); /* -> [] */
Tensor *t_cumsum(Tape *tp, Tensor *x, int axis);

/* ---- arrays ---- */
Tensor *t_permute(Tape *tp, Tensor *x, const int *order); /* axis d of the result is axis order[d] of x */
Tensor *t_transpose(Tape *tp, Tensor *x, int axis1, int axis2);
Tensor *t_max(Tape *tp, Tensor *x, int axis, bool keep);            /* gradient to the first of the largest */
Tensor *t_gather(Tape *tp, Tensor *x, const int *index, int count); /* x [..,n], index [..,count] -> [..,count] */
Tensor *t_softmax(Tape *tp, Tensor *x);                             /* over the last axis */
Tensor *t_bmm(Tape *tp, Tensor *a, Tensor *b); /* a [..,M,K], b [..,K,N]; one of them may be a single matrix */

/* ---- time ---- */
/* The rows before: x [B,T,C], *carry [B,C] -> [B,T,C]; *carry becomes the last row of x. */
Tensor *t_shift(Tape *tp, Tensor *x, Tensor **carry);
/* The short convolution y_t = sum_j w_j x_{t-W+1+j}, each channel by itself: x [B,T,C], w [C,W] with W at least 2, the
   last weight the current token's; *carry [B,W-1,C] the tokens before, and then the last ones. Returns y [B,T,C]. */
Tensor *t_conv(Tape *tp, Tensor *x, Tensor *w, Tensor **carry);
/* [v1.4]: w alpha beta [H,ctx] (or with axes of size 1), k > 0, v [B,T,C]; *keys, *values [B,before,C] are
   those of the positions so far, and grow by k, v; before + T <= ctx. Returns y [B,T,C]. */
Tensor *t_wkv1(Tape *tp, Tensor *w, Tensor *alpha, Tensor *beta, int H, Tensor *k, Tensor *v, Tensor **keys,
               Tensor **values);
/* [v2.4], [v2.5]: w u [C], e > 0, v [B,T,C]; state *a *b [B,C], before -> after. Returns y [B,T,C]. */
Tensor *t_wkv2(Tape *tp, Tensor *w, Tensor *u, Tensor *e, Tensor *v, double eps, Tensor **a, Tensor **b);
/* [v5.4], [v5.5]: r k v [B,T,C]; w = log-decay <= 0, C numbers (constant) or [B,T,C]; u C numbers;
   state *S [B,H,N key,N value], before -> after. Returns y [B,T,C]. */
Tensor *t_wkv6(Tape *tp, Tensor *r, Tensor *w, Tensor *k, Tensor *v, Tensor *u, Tensor **S);
/* [v4.4]-[v4.6]: w = log-decay <= 0, C numbers (constant) or [B,T,C]; u [C], k v [B,T,C]; state *a *b *p [B,C],
   before -> after. Returns y [B,T,C]. */
Tensor *t_wkv4(Tape *tp, Tensor *w, Tensor *u, Tensor *k, Tensor *v, Tensor **a, Tensor **b, Tensor **p);
/* [v7.8], [v7.9]: r w k v a b [B,T,C], w = log-decay <= 0; state *S [B,H,N value,N key], before -> after.
   Returns y [B,T,C]. */
Tensor *t_wkv7(Tape *tp, Tensor *r, Tensor *w, Tensor *k, Tensor *v, Tensor *a, Tensor *b, Tensor **S);
/* Mamba's: h_t = e^{delta A} h_{t-1} + delta B x, y = C' h_t. x delta [B,T,D], A [D,N] <= 0, Bm Cm [B,T,N]; state *h
   [B,D,N], before -> after. Returns y [B,T,D]. */
Tensor *t_selective_scan(Tape *tp, Tensor *x, Tensor *delta, Tensor *A, Tensor *Bm, Tensor *Cm, Tensor **h);

/* A recurrence as a program (k_steps.h): in[i] has [B,T,H,..], [H,..] or [..] numbers, as program->input[i] says, under
   any shape; state *S [B,H,numbers of all states], before -> after. Fails with what is wrong with the program. Returns
   y [B,T,H size]. */
Tensor *t_steps(Tape *tp, const StepProgram *program, Tensor *const *in, int T, Tensor **S);
/* An instruction by its name: that of a pointwise function, number, affine, sum, sum_down or turn. */
StepInstruction t_steps_instruction(const char *name);

/* ---- attention ---- */
/* y_t = sum_{u <= t} softmax_u(q_t.k_u / sqrt N) v_u in each of H heads of N channels. q k v [B,T,C]; *keys, *values
   [B,before,C] are those of the positions so far, and grow by k, v. Returns y [B,T,C]. */
Tensor *t_attention(Tape *tp, Tensor *q, Tensor *k, Tensor *v, int H, Tensor **keys, Tensor **values);

/* ---- ROSA (k_rosa.h) ---- */
/* What was seen so far: of a sequence from its beginning on tensors without numbers. */
typedef struct {
  Tensor **queries, **keys, **values; /* [B,before,C] */
  Tensor **runs;                      /* [B,before,C / bits] */
} RosaState;
typedef struct {
  Tensor *low, *high; /* C numbers that stand for bits 0 and 1 */
  int bits;           /* a symbol, 1 to 16: so many channels in a row */
  bool none_low;      /* low where nothing was found; else 0 */
} RosaLevels;
/* q k v [B,T,C] -> y [B,T,C]; the state grows by the run's tokens, and has a gradient but for the runs. */
Tensor *t_rosa(Tape *tp, Tensor *q, Tensor *k, Tensor *v, const RosaLevels *l, RosaState *s);
/* The same of one sequence x in the place of all three; its state has keys and runs alone. */
Tensor *t_rosa_self(Tape *tp, Tensor *x, const RosaLevels *l, RosaState *s);

/* ---- attention without a softmax ---- */
/* q [rows,D] or [B,T,D]; k [B,U,D] and tokens [B,U] of all positions so far, of which the last T are this
   run's; `now` has these on the host, or is NULL: where there are no others, tokens is not read. row[i] (0 .. B T-1)
   says which position of [B,T] row i is of; NULL: all of them. A row sees the positions up to its own. -> [count,V],
   zero but for copied tokens. */
Tensor *t_copy_scores(Tape *tp, Tensor *q, Tensor *k, const Tensor *tokens, const int *now, int T, const int *row,
                      int count, int V);

/* Attention without a softmax: y_t = sum_{u <= t} (q_t.k_u) v_u. q k [B,T,D], v [B,T,C]; *keys [B,before,D] and
   *values [B,before,C] are those of the positions so far, and grow by k, v. Returns y [B,T,C]. */
Tensor *t_linear_attention(Tape *tp, Tensor *q, Tensor *k, Tensor *v, Tensor **keys, Tensor **values);

/* ---- loss ---- */
/* logits [..,V], one target a row, < 0 where it is not scored -> [] the mean over scored rows.
   l2wrap: 0, or 1e-4 as the official trainers from v4 on have it; it changes the gradient only. */
Tensor *t_cross_entropy(Tape *tp, Tensor *logits, const int *target, double l2wrap);

/* The same of logits = x w' that nobody else needs, x [..,C], w [V,C]: they are never there as a whole. best: NULL, or
   the index of each row's largest logit, the first one of several. */
Tensor *t_head_loss(Tape *tp, Tensor *x, Tensor *w, const int *target, double l2wrap, int *best);

/* log_p[i] = log softmax(logits)[target[i]] of row i of logits [..,V], in nats, in double; target >= 0. No gradient. */
void t_log_likelihood(Tape *tp, const Tensor *logits, const int *target, double *log_p);

/* best[i]: the index of the largest number of row i of x [..,n], n > 0; the first one of several. */
void t_argmax(Tape *tp, const Tensor *x, int *best);

#endif

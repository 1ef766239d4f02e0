/* The recurrences, attention and the selective scan as cases: leaves, random numbers that suit them, and the run,
   whole or in pieces. For comparing them with an oracle, with an op rebuilt from others, with each other. */
#ifndef AVIARY_WKV_CASES_H
#define AVIARY_WKV_CASES_H

#include "op_case.h"

/* What a case looks at. */
enum { OUTPUT = 1, STATE = 2, BOTH = 3 };

/* OpCase.arg of these cases. CUT: a second piece begins with this token (0: all at once, TOKENWISE: every
   token is a piece). MODE: of wkv4 and wkv6, how the decay is given. CENTRE: mean of the keys (wkv2, where
   the initial state goes with it), start of p (wkv4). KEYS: of wkv4, ORDINARY or EXTREME. */
enum { LOOK_AT, CUT, HEADS, MODE, CENTRE, KEYS };
enum { TOKENWISE = -1 };
enum { PER_TOKEN, PER_CHANNEL, PER_HEAD };
enum { ORDINARY, EXTREME };
/* OpCase.number of these cases: eps of wkv2, and how far keys spread. */
enum { EPS, SPREAD };

/* The leaves. K1, K2 are keys before the exponential, H1 the history's; W a log-decay (of wkv1: weights). */
enum { W1, ALPHA1, BETA1, K1, V1, HK1, HV1, LEAVES1 };
enum { W2, U2, K2, V2, A2, B2, LEAVES2 };
enum { W4, U4, K4, V4, A4, B4, P4, LEAVES4 };
enum { R6, W6, K6, V6, U6, S6, LEAVES6 };
enum { R7, W7, K7, V7, A7, B7, S7, LEAVES7 };
enum { QA, KA, VA, HKA, HVA, LEAVESA };
enum { XS, DS, AS, BS, CS, HS, LEAVESS };

typedef struct {
  int B, T, H, N;
} Sizes;

/* Outputs are y, then the state: wkv1 keys (after the exponential) and values, wkv2 a b, wkv4 a b p, attention keys
   and values, scan h. */
OpCase wkv1_case(const char *name, Sizes z, int before, int ctx, int look_at); /* before: history's length */
OpCase wkv2_case(const char *name, Sizes z, double eps, int look_at);
OpCase wkv4_case(const char *name, Sizes z, int mode, int look_at); /* PER_TOKEN or PER_CHANNEL */
OpCase wkv6_case(const char *name, Sizes z, int mode, int look_at);
OpCase wkv7_case(const char *name, Sizes z, int look_at);
OpCase attention_case(const char *name, Sizes z, int before, int look_at);
OpCase scan_case(const char *name, Sizes z, int look_at); /* H channels with N numbers of state each */
Sizes sizes_of(const OpCase *c, int key);                 /* key: the leaf [B,T,C]; H is HEADS */

/* What the versions make of a key. */
Tensor *exp_key1(Tape *tp, Tensor *k);
Tensor *exp_key2(Tape *tp, Tensor *k);
/* One number per head [H], or one per channel already, as [H,N]. */
Tensor *per_channel(Tape *tp, Tensor *x, int H, int N);

/* Of y and the state, what the case looks at. */
Tensor *looked_at(Tape *tp, const OpCase *c, Tensor *y, Tensor **state, int n);
/* x [B,from..to,..] */
Tensor *tokens_of(Tape *tp, Tensor *x, int from, int to);

/* Two ways to compute the same from the leaves of the first: how far values and gradients are apart. */
typedef struct {
  bool identical; /* values, bit for bit */
  double values, gradients;
  int leaf; /* where the gradients differ most */
} Apart;

Apart how_far_apart(const OpCase *one, const OpCase *other);
/* Fails where they differ by more; value_tol 0 asks for the same bits. */
void check_alike(const OpCase *one, const OpCase *other, double value_tol, double gradient_tol);
/* Outputs, state, and both, of two ways; gradients may differ by ALIKE_GRADIENT_TOL. */
void check_looks(OpCase c, OpCase other, double value_tol);
#ifdef AVIARY_DOUBLE
#define ALIKE_TOL 1e-12
#define ALIKE_GRADIENT_TOL 1e-11
#else
#define ALIKE_TOL 1e-5 /* two ways round differently, and states keep that */
#define ALIKE_GRADIENT_TOL 3e-4
#endif
extern double worst_value_apart, worst_gradient_apart; /* that check_alike has let pass */

#endif

/* What a program of steps (k_steps.h) becomes before the device runs it: values, each made once, and the codes that
   make them; the way back through a token is such a flow as well. flow.cu builds it, flow_back.cu adds the way back,
   flow_simplify.cu leaves out what nobody needs and joins products with sums, flow_plan.cu says which codes wait for
   others and where values stand. flow_run.h runs it. */
#ifndef AVIARY_CUDA_FLOW_H
#define AVIARY_CUDA_FLOW_H

#include "device.h"

typedef enum {
  TERM_NUMBER,  /* offset */
  TERM_AFFINE,  /* scale a + offset */
  TERM_PRODUCT, /* scale a b */
  TERM_UNARY,   /* f(a) */
  TERM_BINARY,  /* f(a, b) */
  TERM_SLOPE,   /* c f'(a), where b = f(a) */
  TERM_SLOPE_A, /* c df/da(a, b) */
  TERM_SLOPE_B
} Term;

typedef enum {
  OVER_NOTHING,
  OVER_COLS, /* sums along the rows: [rows,1]; */
  OVER_ROWS, /* down the columns: [1,cols]; */
  OVER_BOTH  /* of all: [1,1] */
} Over;

enum { NO_VALUE = -1, FLOW_VALUES = 640, FLOW_CODES = 512, FLOW_OUTPUTS = 64 };
/* How many threads sum along a row together: few, so that most of the work is no exchange between them. */
enum { FLOW_NARROW = 8, FLOW_WIDE = 128 };
BOTH unsigned flow_share(unsigned cols) { return cols <= FLOW_NARROW ? 1 : cols <= FLOW_WIDE ? 8 : WARP; }

enum { OF_A, OF_B, OF_C, PLUS, OPERANDS };

/* A value as something else sees it: number i, j is at i row + j col. So it is repeated, or turned, without a copy. */
typedef struct {
  int value;
  unsigned row, col;
} View;

/* out[i,j] = plus[i,j] + the term; or plus + the sum of terms over i, j, or both. */
typedef struct {
  Term term;
  int which; /* a UnaryKind or BinaryKind */
  Over over;
  unsigned rows, cols; /* of the terms */
  View of[OPERANDS];   /* NO_VALUE where there is none */
  real scale, offset;
  int out;
  int stage;      /* a barrier stands between one stage and the next */
  unsigned first; /* the thread that has the first sum down the columns: so several run beside each other */
} Code;

typedef struct {
  unsigned rows, cols;
  int maker;    /* its code; NO_VALUE: it is given */
  bool lasts;   /* given, and kept from one token to the next */
  bool output;  /* looked at when the token is done */
  int state;    /* given: the state that it is before the token; */
  int becomes;  /* the state that it is after it; or NO_VALUE */
  int uses, at; /* in the room of the flow; NO_VALUE: nobody needs it */
} Value;

typedef struct {
  int values, codes;
  Value value[FLOW_VALUES];
  Code code[FLOW_CODES];
  View seen[STEP_REGISTERS];   /* each register of the program */
  int runs, order[FLOW_CODES]; /* the codes that are needed, as they run */
  unsigned room, threads;      /* numbers that it needs; of a block */
} Flow;

/* ---- building ---- */

static inline int flow_registers(const StepProgram *p) { return p->inputs + p->states + p->instructions; }
unsigned flow_size(const Flow *f, int value);
int flow_given(Flow *f, StepShape shape, bool lasts, int state);
View flow_view(const Flow *f, int value); /* as it is */
bool flow_none(View v);
extern const View flow_nothing;
View flow_across(View v, StepShape own);                  /* repeated over the rows or columns that it has one of */
bool flow_in_order(View v, unsigned rows, unsigned cols); /* number i, j is at i cols + j */

Code flow_code(Term term, StepShape shape, View a, View b);
View flow_add(Flow *f, Code code);              /* what it makes */
int flow_own(Flow *f, View v, StepShape shape); /* a value with all its numbers in their order: itself or a copy */
int flow_output(Flow *f, int value, int becomes);

/* The inputs of a program that are for heads and for all; then its other inputs, its states, and its instructions. */
void flow_lasting(Flow *f, const StepProgram *p);
void flow_program(Flow *f, const StepProgram *p, bool states_last);
/* g[reg]: the gradient by each register, or nothing; those of y and of the states after are there. */
void flow_back(Flow *f, const StepProgram *p, View *g);
void flow_give(Flow *f, const StepProgram *p, View *g, int reg, View part); /* one more part of g[reg] */

/* ---- planning ---- */

/* Of each needed code an entry in the order, so that what it reads is made before; nothing is needed that no output is
   made of. */
void flow_simplify(Flow *f);
bool flow_reads_own(const Flow *f, const Code *c, int operand); /* a thread reads only what it has made itself */
void flow_plan(Flow *f);

#endif

/* What a program of steps (k_steps.h) becomes before the CPU runs it: values, each made once, and the codes that
   make them. The way back through a token is such a flow as well. f_flow.c builds it, f_flow_back.c adds the way
   back, f_flow_plan.c leaves out what nobody needs, joins products with sums, and cuts it into loops over a few
   rows of the matrices, whose numbers stay in the cache from one code to the next. f_steps_rows.h runs it. */
#ifndef AVIARY_FAST_FLOW_H
#define AVIARY_FAST_FLOW_H

#include "f_job.h"

typedef enum {
  CODE_UNARY,    /* f(a) */
  CODE_SLOPE,    /* f'(a), where b = f(a) */
  CODE_BINARY,   /* f(a, b) */
  CODE_AT_LEAST, /* 1 where a >= b, else 0; */
  CODE_AT_MOST,  /* and where a <= b */
  CODE_AFFINE,   /* scale a + offset, repeated where the result is larger */
  CODE_SUM,      /* along the rows of a: [rows,1]; */
  CODE_SUM_DOWN, /* down its columns: [1,cols] */
  CODE_DOT,      /* the same of a b */
  CODE_DOT_DOWN,
  CODE_PRODUCTS /* in[0] + sign[0] in[1] in[2] + sign[1] in[3] in[4] + ..; in[0] may be none */
} CodeKind;

enum { MOST_PRODUCTS = 3, CODE_INPUTS = 1 + 2 * MOST_PRODUCTS };
enum { NO_VALUE = -1, FLOW_VALUES = 1024, FLOW_OUTPUTS = 2 * STEP_REGISTERS };

/* How a code walks a value: numbers to its next row, and to where the next rows of a loop begin; whether it has a
   number for each column, or one for all. */
typedef struct {
  size_t row, move;
  bool columns;
} Walk;

typedef struct {
  CodeKind kind;
  int which, out, in[CODE_INPUTS]; /* values; a and b are the first two; */
  int ins;                         /* and how many there are */
  acc scale, offset;
  StepShape inside;         /* of what a sum is made of, of the result otherwise */
  bool by_rows;             /* it runs with others over some rows at a time, otherwise as a whole */
  bool flat;                /* columns all: the rows of the loop are taken as the columns of one row */
  Walk to, of[CODE_INPUTS]; /* out; in */
  real sign[MOST_PRODUCTS];
} Code;

/* Where a value has its numbers. */
typedef enum {
  HOME_GIVEN, /* wherever the caller says, for each token: inputs, states, outputs */
  HOME_NUMBER,
  HOME_WHOLE, /* in the workspace; */
  HOME_TILE   /* there, and only the rows that are worked on */
} Home;

typedef struct {
  StepShape shape;
  int seen_as; /* the value that it has the numbers of, turned; itself */
  int maker;   /* the code that makes it, or NO_VALUE */
  real number; /* HOME_NUMBER */
  Home home;
  size_t at; /* in the workspace */
  int uses;
} Value;

typedef struct {
  int first, codes; /* in the order of the plan */
  size_t rows, tile;
} FlowLoop;

typedef struct {
  int values, codes, outputs, loops;
  Value value[FLOW_VALUES];
  Code code[FLOW_VALUES];
  int output[FLOW_OUTPUTS];
  int of[STEP_REGISTERS]; /* the value of each register of the program */
  FlowLoop loop[FLOW_VALUES];
  size_t room; /* numbers of the workspace */
  bool full;   /* it has not enough values for this program */
} Flow;

/* ---- building: each returns the value that is made ---- */

int f_flow_value(Flow *f, StepShape shape);
int f_flow_number(Flow *f, real number);
int f_flow_affine(Flow *f, int a, acc scale, acc offset, StepShape shape);
int f_flow_binary(Flow *f, BinaryKind which, int a, int b);
int f_flow_add(Flow *f, Code code, StepShape shape);
int f_flow_sum(Flow *f, CodeKind kind, int a);
int f_flow_turn(Flow *f, int a);
/* The program forward: inputs and states are given. */
void f_flow_program(Flow *f, const StepProgram *p);
/* A value that the flow makes and that nothing else is: v itself or a copy; HOME_GIVEN. */
int f_flow_own(Flow *f, int v);
void f_flow_output(Flow *f, int v);

/* g[reg]: the value of the gradient by each register, or NO_VALUE; it may be smaller where it is the same for all
   rows or columns. Those of y and of the states after are given. */
void f_flow_back(Flow *f, const StepProgram *p, int *g);
/* v in its full size. */
int f_flow_whole(Flow *f, int v, StepShape shape);

/* ---- planning ---- */

/* given[v]: values that are there and need not be made, whatever makes them. */
void f_flow_plan(Flow *f, const bool *given);
/* Writes what comes down to less work: f_flow_simplify.c. Part of the plan. */
void f_flow_simplify(Flow *f);
void f_flow_count(Flow *f, const bool *given);
/* Whether `after` may be written where `before` is read. */
bool f_flow_in_place(const Flow *f, int before, int after);

#endif

/* A recurrence as a program: what one token does to the state of one head, as a list of instructions, run over
   time for all heads and sequences. The program stands on the host; t_steps.c checks it before it is run.

   A register holds a number [1,1], a row [1,cols], a column [rows,1] or a matrix [rows,cols]. The first registers
   are the inputs of the token, then come the states before it, then what each instruction makes. */
#ifndef AVIARY_K_STEPS_H
#define AVIARY_K_STEPS_H

#include "k_point.h"
#include "k_segments.h"

enum { STEP_INPUTS = 12, STEP_STATES = 8, STEP_INSTRUCTIONS = 128 };
enum { STEP_REGISTERS = STEP_INPUTS + STEP_STATES + STEP_INSTRUCTIONS };

typedef enum {
  STEP_NUMBER,   /* offset */
  STEP_UNARY,    /* f(a); which: a UnaryKind */
  STEP_BINARY,   /* f(a, b), broadcast; which: a BinaryKind */
  STEP_AFFINE,   /* scale a + offset */
  STEP_SUM,      /* scale times the sum along each row: [rows,1] */
  STEP_SUM_DOWN, /* scale times the sum down each column: [1,cols] */
  STEP_TURN,     /* a row as a column, or a column as a row */
  STEP_KINDS
} StepKind;

typedef struct {
  StepKind kind;
  int which, a, b; /* a, b: registers before this one */
  acc scale, offset;
} StepInstruction;

typedef enum { OF_TOKENS, OF_HEADS, OF_ALL } StepInputKind; /* in [B,T,H,..], [H,..], [..] */

typedef struct {
  size_t rows, cols;
} StepShape;

typedef struct {
  int inputs, states, instructions; /* at least one state */
  StepInputKind input[STEP_INPUTS];
  StepInstruction instruction[STEP_INSTRUCTIONS];
  int y, after[STEP_STATES];       /* the registers of the output, and of the states after the token */
  StepShape shape[STEP_REGISTERS]; /* inputs and states: given; the rest follows */
} StepProgram;

/* Registers, and numbers in them: of one; of all states of a head; of what all instructions make; of an input. */
int k_steps_registers(const StepProgram *p);
size_t k_steps_size(const StepProgram *p, int reg);
size_t k_steps_state(const StepProgram *p);
size_t k_steps_made(const StepProgram *p);

typedef struct {
  real *y;                     /* [B,T,H,size of y] */
  real *S1, *segments;         /* [B,H,state]; [B,H,segments,state] the state before every segment, or NULL */
  real *scratch;               /* made + state */
  const real *in[STEP_INPUTS]; /* as program->input says */
  const real *S0;              /* [B,H,state] */
  const StepProgram *program;
  size_t B, T, H;
} Steps;
/* gy and gS1 may be NULL. */
typedef struct {
  real *gin[STEP_INPUTS], *gS0;
  real *scratch; /* k_steps_back */
  const real *gy, *gS1;
  Steps forward;
} StepsBackward;
size_t k_steps_held(const Steps *op, int input); /* numbers of an input; 0 if there is none */
/* Where the part of an input stands, or of its gradient, that belongs to a token of a head; row: b T + t. */
size_t k_steps_place(const Steps *op, int input, size_t row, size_t h);
size_t k_steps_terms(const Steps *op);     /* products that one number is a sum of, about */
size_t k_steps_back(const StepProgram *p); /* numbers of scratch */
void k_steps(const Steps *op);
void k_steps_backward(const StepsBackward *op);

#endif

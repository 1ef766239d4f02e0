/* What an operation leaves on the tape; for the t_*.c files only. */
#ifndef AVIARY_NODE_H
#define AVIARY_NODE_H

#include "tape.h"

enum { NODE_INPUTS = STEP_INPUTS + 1, NODE_OUTPUTS = 4 };

struct Node {
  void (*backward)(Node *);
  Node *prev;
  Tape *tape;
  Tensor *in[NODE_INPUTS], *out[NODE_OUTPUTS];
  bool first[NODE_OUTPUTS]; /* no node before had this output: its gradient is used up here */
  bool linear;              /* its way back reads no operand, so that they may be written to */
  uint64_t when;            /* by tensor_clock(), when it was recorded */
  const void *op;           /* the forward op, with what it saved */
};

/* Remembers an operation; NULL if no gradient will be asked for. */
Node *node_new(Tape *tp, void (*backward)(Node *), int n_in, Tensor *const *in, int n_out, Tensor *const *out);
/* Of an op whose way back reads none of its operands, if there is a node. */
static inline void node_linear(Node *node)
{
  if (node) node->linear = true;
}
/* Saves the op in the node, if there is one: after its pointers to what it saves are set. */
/* clang-format off */
#define NODE_SAVE(node, saved) \
  do { if (node) (node)->op = node_keep((node)->tape, &(saved), sizeof(saved)); } while (0)
/* clang-format on */

/* Where gradient is to be added for t; NULL if it needs none. */
real *node_grad(Node *node, Tensor *t);
/* The gradient that has flowed into t; NULL if none has. */
real *node_flow(const Tensor *t);

/* Memory until the step ends: a copy on the host, and room for numbers with the backend, of contents undefined. */
void *node_keep(Tape *tp, const void *from, size_t bytes);
void *node_numbers(Tape *tp, size_t count, size_t size);
/* What an op gives as the state after S: S's heir, to the first that asks, or a tensor of the tape. */
Tensor *node_state_after(Tape *tp, Tensor *S);

#define NODE(tp, backward, n_in, n_out, ...) \
  node_new(tp, backward, n_in, (Tensor *[]){__VA_ARGS__}, n_out, (Tensor *[]){__VA_ARGS__} + (n_in))

#endif

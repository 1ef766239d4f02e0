/* What an operation leaves on the tape; for the t_*.c files only. */
#ifndef AVIARY_NODE_H
#define AVIARY_NODE_H

#include "tape.h"

enum { NODE_INPUTS = 8, NODE_OUTPUTS = 4 };

struct Node {
  void (*backward)(Node *);
  Node *prev;
  Tape *tape;
  Tensor *in[NODE_INPUTS], *out[NODE_OUTPUTS];
  size_t size[6];     /* whatever sizes the backward needs */
  double number[2];  /* scales, eps */
  bool first[NODE_OUTPUTS]; /* no node before had this output: its gradient is used up here */
  int kind;
  void *saved;       /* in the tape's arena */
  const int *index;  /* integers saved in the arena */
};

/* Remembers an operation; NULL if no gradient will be asked for. */
Node *node_new(Tape *tp, void (*backward)(Node *), int n_in, Tensor *const *in, int n_out, Tensor *const *out);

/* Where gradient is to be added for t; NULL if it needs none. */
real *node_grad(Node *node, Tensor *t);
/* The gradient that has flowed into t; NULL if none has. */
real *node_flow(const Tensor *t);

/* A copy in the tape's arena, for the backward pass. */
void *node_keep(Tape *tp, const void *from, size_t bytes);

#define NODE(tp, backward, n_in, n_out, ...) \
  node_new(tp, backward, n_in, (Tensor *[]){__VA_ARGS__}, n_out, (Tensor *[]){__VA_ARGS__} + (n_in))

#endif

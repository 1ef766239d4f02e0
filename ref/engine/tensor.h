/* A tensor: numbers in row-major order under a shape of at most 4 axes. Axis 0 varies slowest. */
#ifndef AVIARY_TENSOR_H
#define AVIARY_TENSOR_H

#include "arena.h"
#include "packed.h"

enum { MAX_AXES = 4 };

typedef struct Tensor Tensor;
struct Tensor {
  real *data;    /* in the backend's memory, for kernels alone; NULL if it is packed */
  real *grad;    /* same shape, there too; NULL until something flows into it */
  Packed packed; /* the numbers of a matrix that is only read: t_linear, t_matmul and t_rows take it */
  Tensor *base;  /* not NULL: this is `base` under another shape, with the same data and gradient */
  Tensor *next;  /* in a list of the tape */
  Tensor *heir;  /* of a state, outside of a recording: where the op that carries it on may put what follows it */
  size_t n;      /* number of elements */
  int axes;      /* 0 (a scalar) .. MAX_AXES */
  int shape[MAX_AXES];
  bool needs_grad;
  bool reached;     /* gradient has flowed into it since it was last cleared; of a leaf */
  bool spent;       /* its part of the tape was used up by a backward pass */
  uint64_t written; /* when its numbers were last written, by tensor_clock(): 0 if only its op did */
  uint64_t walk;    /* the last backward pass that gradient flows into it in */
};

/* A tensor with its own zeroed memory, freed by tensor_free. */
Tensor *tensor_new(int axes, const int *shape);
void tensor_free(Tensor *t);
/* Itself in an arena of the process, its numbers in another, of tensor_arena; the arenas free them. Zeros if `as` is
   NULL, otherwise packed numbers, which can be anything at first. */
Arena tensor_arena(void);
Tensor *tensor_in(Arena *arena, Arena *numbers, int axes, const int *shape, const Storage *as);

/* Itself in an arena, its numbers packed where they are: in memory of the process that lasts longer and is only read.
   To be had only where tensor_can_see() says that whoever computes can look there. */
bool tensor_can_see(void);
Tensor *tensor_see(Arena *arena, int axes, const int *shape, Packed numbers);

/* The only way to numbers for code outside the kernels: copies of n elements starting at `from`. A packed tensor can
   be read; it is written in the bits that it keeps. */
void tensor_read(const Tensor *t, size_t from, size_t n, real *out);
void tensor_write(Tensor *t, size_t from, size_t n, const real *in);
void tensor_write_packed(Tensor *t, size_t from, size_t n, const void *bits);
void tensor_fill(Tensor *t, real value);
void tensor_copy(Tensor *to, const Tensor *from); /* all elements, of which both have as many */

/* How many writes there have been to all tensors. The tape remembers it with every operation: what was written later is
   not what was computed with. These functions count by themselves; who changes numbers in another way says so. */
uint64_t tensor_clock(void);
void tensor_wrote(Tensor *t);
uint64_t tensor_written(const Tensor *t); /* it, or what it is another shape of */

/* The gradient, which what is only another shape of a tensor shares with it. */
bool tensor_has_grad(const Tensor *t);
void tensor_need_grad(Tensor *t);    /* from now on it needs one, which is 0 at first; keeps one that is there */
void tensor_need_no_grad(Tensor *t); /* from now on; the one that is there is given back */
void tensor_free_grad(Tensor *t);
void tensor_clear_grad(Tensor *t); /* to 0, if there is one; none has reached it then */
void tensor_read_grad(const Tensor *t, size_t from, size_t n, real *out); /* zeros if there is none */
/* One that was computed elsewhere in the place of the tensor's, and whether anything flowed into it there. */
void tensor_write_grad(Tensor *t, const real *in, bool reached);
/* Its sum over the programs whose devices add up, in its place: between `begin` and `end` of BackendRanks. */
void tensor_sum_grad(Tensor *t);

size_t shape_count(int axes, const int *shape); /* product; fails when it is negative or too large */
bool tensor_same_shape(const Tensor *a, const Tensor *b);

/* "[2,16,64]" in a small rotating buffer: good for a message, not for keeping. */
const char *shape_text(int axes, const int *shape);
const char *tensor_shape(const Tensor *t);
/* "[1,17,3]": where element i of the shape is, counted from 1 along each axis. */
const char *shape_place(int axes, const int *shape, size_t i);

#endif

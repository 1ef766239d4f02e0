/* Checks of what a tape op is given. Each fails with the names of the op and of the operand, its shape and what was
   expected. */
#ifndef AVIARY_EXPECT_H
#define AVIARY_EXPECT_H

#include "tensor.h"

void expect_shape(const char *op, const char *name, const Tensor *t, int axes, const int *shape);
/* The shape of `want`, which is called `like`. */
void expect_same(const char *op, const char *name, const Tensor *t, const char *like, const Tensor *want);
void expect_btc(const char *op, const char *name, const Tensor *t);              /* [B,T,C], none of them 0 */
void expect_count(const char *op, const char *name, const Tensor *t, int count); /* so many numbers, of any shape */

#endif

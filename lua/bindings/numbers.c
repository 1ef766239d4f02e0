/* The numbers of a tensor one after the other. They may lie where this process cannot read: they come in parts. */
#include "bind.h"

real next_number(Reader *r)
{
  if (r->at == r->end) {
    size_t left = r->t->n - r->end, n = left < PART ? left : PART;
    tensor_read(r->t, r->end, n, r->part);
    r->end += n;
  }
  size_t place = r->at++ % PART;
  return r->part[place];
}

void put_number(Writer *w, real x)
{
  size_t place = w->at++ % PART;
  w->part[place] = x;
  if (place + 1 == PART || w->at == w->t->n) tensor_write(w->t, w->at - place - 1, place + 1, w->part);
}

Tensor *new_copy(lua_State *L, const Tensor *t)
{
  Tensor *copy = new_owned(L, t->axes, t->shape);
  tensor_copy(copy, t);
  return copy;
}

/* What nobody needs is left out, and a product of which nothing but a sum is made is made there. */
#include "flow.h"

static void count_uses(Flow *f)
{
  for (int v = 0; v < f->values; v++) f->value[v].uses = f->value[v].output;
  for (int i = f->codes; i-- > 0;) {
    const Code *c = &f->code[i];
    if (!f->value[c->out].uses) continue;
    for (int k = 0; k < OPERANDS; k++)
      if (!flow_none(c->of[k])) f->value[c->of[k].value].uses++;
  }
}

/* The code that makes what c reads as operand k, if it is a mere product and c alone reads it, number by number. */
static Code *product_of(Flow *f, const Code *c, int k)
{
  View v = c->of[k];
  if (flow_none(v)) return NULL;
  const Value *x = &f->value[v.value];
  if (x->maker == NO_VALUE || x->uses != 1 || x->output) return NULL;
  Code *made = &f->code[x->maker];
  bool mere = made->term == TERM_PRODUCT && made->over == OVER_NOTHING && flow_none(made->of[PLUS]);
  bool same = made->rows == c->rows && made->cols == c->cols && flow_in_order(v, c->rows, c->cols);
  return mere && same ? made : NULL;
}

static void join(Flow *f, Code *c)
{
  if (c->term != TERM_AFFINE || c->offset != 0) return;
  bool plain = c->over == OVER_NOTHING && c->scale == 1 && !flow_none(c->of[PLUS]);
  if (plain && !product_of(f, c, OF_A) && product_of(f, c, PLUS)) {
    View a = c->of[OF_A];
    c->of[OF_A] = c->of[PLUS], c->of[PLUS] = a;
  }
  Code *made = product_of(f, c, OF_A);
  if (!made) return;
  f->value[made->out].uses = 0;
  c->term = TERM_PRODUCT, c->scale *= made->scale;
  c->of[OF_A] = made->of[OF_A], c->of[OF_B] = made->of[OF_B];
}

void flow_simplify(Flow *f)
{
  count_uses(f);
  for (int i = 0; i < f->codes; i++)
    if (f->value[f->code[i].out].uses) join(f, &f->code[i]);
  f->runs = 0;
  for (int i = 0; i < f->codes; i++)
    if (f->value[f->code[i].out].uses) f->order[f->runs++] = i;
}

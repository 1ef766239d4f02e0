/* What the table of ops says of each op's operands is true of its reference kernel, at the sizes of kernel_cases.c.
   Backends, shadow mode and work that waits believe it. */
#include "kernel_cases.h"
#include "kernel_run.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static Run run(const Call *c, Filling f)
{
  Run r = run_call(c, &backend_reference, f);
  const char *fault = run_fault(&r);
  if (fault) fail_msg("variant %d: %s", c->setting.variant, fault);
  return r;
}

/* ---- reads and writes ---- */

/* Whatever there was in what is overwritten, in scratch and around the operands: the results are the same bits. */
static void check_surroundings(const Call *c)
{
  Run usual = run(c, usual_filling), other = run(c, (Filling){0x11, (char)0xff});
  const char *difference = runs_differ(&usual, &other, 0);
  if (difference)
    fail_msg("%s variant %d: what is around operands, in scratch or in what is overwritten goes into the result: %s",
             op_rows[c->id].name, c->setting.variant, difference);
  run_free(&usual);
  run_free(&other);
}

static void change(const Operand *o, size_t i)
{
  if (o->type == OF_REAL) ((real *)o->data)[i] = -((real *)o->data)[i] - 1;
  else if (o->type == OF_ACC) ((acc *)o->data)[i] = -((acc *)o->data)[i] - 1;
  else if (o->type == OF_PACKED) ((char *)o->data)[(i + 1) * o->size - 1] ^= 0x40;
}

static bool last_is_written(const Run *r, int i)
{
  const Operand *o = &r->call->operand[i];
  size_t at = (o->count - 1) * o->size;
  return o->access == WRITE || memcmp(run_numbers(r, i) + at, (char *)o->data + at, o->size);
}

static bool last_is_read(Call *c, const Run *usual, const Operand *o)
{
  char old[sizeof(acc)], *last = (char *)o->data + (o->count - 1) * o->size;
  memcpy(old, last, o->size);
  change(o, o->count - 1);
  Run changed = run(c, usual_filling);
  memcpy(last, old, o->size);
  bool differ = runs_differ(usual, &changed, 0) != NULL;
  run_free(&changed);
  return differ;
}

/* The last token goes into no other. */
static bool has_unused_end(OpId id, const char *name)
{
  return (id == OP_shift && strcmp(name, "x") == 0) || (id == OP_shift_backward && strcmp(name, "gx") == 0) ||
         (id == OP_rosa_backward && (strcmp(name, "gk") == 0 || strcmp(name, "forward.k") == 0));
}

/* Notes which operands have their last number used: a count that is too large leaves one that is not. */
static void note_ends(Call *c, bool *used)
{
  Run usual = run(c, usual_filling);
  for (int i = 0; i < c->operands; i++) {
    const Operand *o = &c->operand[i];
    if (used[i] || !o->data || !o->count) continue;
    if (is_output(o)) used[i] = last_is_written(&usual, i);
    else if (o->access == READ && o->type != OF_INT) used[i] = last_is_read(c, &usual, o);
    else used[i] = true;
  }
  run_free(&usual);
}

/* ---- parts ---- */

static char *part_of(const Operand *o, char *data, size_t parts, size_t p)
{
  return data + o->count / parts * p * o->size;
}

static void give_part(Call *c, size_t parts, size_t to, size_t from)
{
  for (int i = 0; i < c->operands; i++) {
    const Operand *o = &c->operand[i];
    if (o->data && o->in_parts && o->access == READ)
      memcpy(part_of(o, o->data, parts, to), part_of(o, o->data, parts, from), o->count / parts * o->size);
  }
}

/* A part of what is read has nothing to do with the other parts of what is written. */
static void check_part(const Call *c, const Run *usual, size_t parts, size_t changed)
{
  Call other = call_new(c->id, c->setting);
  give_part(&other, parts, changed, changed ? changed - 1 : 1);
  Run r = run(&other, usual_filling);
  for (int i = 0; i < c->operands; i++) {
    const Operand *o = &c->operand[i];
    for (size_t p = 0; is_output(o) && o->in_parts && p < parts; p++)
      if (p != changed && memcmp(part_of(o, run_numbers(&r, i), parts, p), part_of(o, run_numbers(usual, i), parts, p),
                                 o->count / parts * o->size))
        fail_msg("%s variant %d: part %zu of %s, of %zu, depends on part %zu of what is read", op_rows[c->id].name,
                 c->setting.variant, p, o->name, parts, changed);
  }
  run_free(&r);
  call_free(&other);
}

static void check_parts(const Call *c)
{
  size_t parts = op_rows[c->id].parts(c->op);
  for (int i = 0; i < c->operands; i++)
    if (c->operand[i].in_parts && c->operand[i].count % parts)
      fail_msg("%s variant %d: %s[%zu] cannot come in %zu parts", op_rows[c->id].name, c->setting.variant,
               c->operand[i].name, c->operand[i].count, parts);
  if (parts < 2) return;
  Run usual = run(c, usual_filling);
  check_part(c, &usual, parts, 0);
  check_part(c, &usual, parts, parts - 1);
  run_free(&usual);
}

/* ---- a row ---- */

static void check_row(void **state)
{
  OpId id = *(OpId *)*state;
  bool used[MOST_OPERANDS] = {false};
  Operand operand[MOST_OPERANDS];
  int operands = 0;
  for (int v = 0; v < call_variants(id); v++) {
    Call c = call_new(id, (Setting){.variant = v});
    check_surroundings(&c);
    check_parts(&c);
    note_ends(&c, used);
    memcpy(operand, c.operand, sizeof operand);
    operands = c.operands;
    call_free(&c);
  }
  for (int i = 0; i < operands; i++)
    if (!used[i] && !has_unused_end(id, operand[i].name))
      fail_msg("%s: the last number of %s is never %s", op_rows[id].name, operand[i].name,
               operand[i].access == READ ? "read" : "written");
}

/* ---- the checkers themselves ---- */

static void planted_errors(void **state)
{
  (void)state;
  const double tolerance = 1e-5;
  Call c = call_new(OP_affine, (Setting){.variant = 4});
  Run r = run(&c, usual_filling), s = run(&c, usual_filling);
  const Operand *o = &c.operand[0];
  char *x = run_numbers(&r, 0), *y = run_numbers(&s, 0), *input = run_numbers(&s, 1);
  real *last_x = (real *)(void *)x + o->count - 1, *last_y = (real *)(void *)y + o->count - 1;
  assert_string_equal(o->name, "y");
  assert_null(runs_differ(&r, &s, 0));
  *last_y += (real)(20 * tolerance * fmax(1, fabs((double)*last_y)));
  assert_true(operand_difference(o, x, y) > tolerance);
  assert_non_null(runs_differ(&r, &s, tolerance));
  *last_y = (real)NAN;
  assert_true(operand_difference(o, x, y) == HUGE_VAL);
  assert_true(operand_difference(o, y, x) == HUGE_VAL);
  *last_x = (real)NAN;
  assert_true(operand_difference(o, x, y) == 0);
  assert_null(run_fault(&s));
  y[o->count * o->size] = 0;
  assert_non_null(run_fault(&s));
  y[o->count * o->size] = usual_filling.guard;
  y[-1] = 0;
  assert_non_null(run_fault(&s));
  y[-1] = usual_filling.guard;
  input[0] ^= 1;
  assert_non_null(run_fault(&s));
  run_free(&r);
  run_free(&s);
  call_free(&c);
}

int main(int argc, char **argv)
{
  if (argc > 1) cmocka_set_test_filter(argv[1]); /* test_op_table wkv7 */
  static OpId ids[OP_COUNT];
  for (OpId id = 0; id < OP_COUNT; id++) ids[id] = id;
#define OP(name_, ...) {.name = #name_, .test_func = check_row, .initial_state = &ids[OP_##name_]},
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(planted_errors),
#include "engine/op_table.h"
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The table of ops: what its rows say must be about their structs. That the kernels do as the rows say, with numbers:
   test_fast.c; that operands can be moved by them alone: test_far.c. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "engine/ops.h"

#include <string.h>

static const OpRow *row;
static _Alignas(max_align_t) char op[MOST_OP_BYTES];
static Operand operand[MOST_OPERANDS];

/* An empty struct; a program of steps is what the row looks into, so there is an empty one. */
static void clear(int id)
{
  static const StepProgram nothing;
  row = &op_rows[id];
  memset(op, 0, sizeof op);
  if (id == OP_steps) ((Steps *)(void *)op)->program = &nothing;
  if (id == OP_steps_backward) ((StepsBackward *)(void *)op)->forward.program = &nothing;
}

static void check_operand(const Operand *o)
{
  static const size_t sizes[] = {[OF_REAL] = sizeof(real), [OF_ACC] = sizeof(acc), [OF_INT] = sizeof(int)};
  if (o->at % _Alignof(void *) || o->at + sizeof(void *) > row->bytes)
    fail_msg("%s: %s is at byte %zu of %zu", row->name, o->name, o->at, row->bytes);
  for (const Operand *e = operand; e < o; e++)
    if (e->at == o->at) fail_msg("%s: %s and %s are one pointer", row->name, e->name, o->name);
  if (o->data != NULL) fail_msg("%s: %s is not NULL in an empty struct", row->name, o->name);
  if (o->type != OF_PACKED && o->size != sizes[o->type])
    fail_msg("%s: a number of %s has %zu bytes", row->name, o->name, o->size);
  if (o->access == INDEX && o->type != OF_INT) fail_msg("%s: index %s is not of integers", row->name, o->name);
  /* The row looks where it says. */
  void *some = &row, *none = NULL;
  Operand again[MOST_OPERANDS];
  memcpy(op + o->at, &some, sizeof some);
  row->operands(op, again);
  if (again[o - operand].data != some) fail_msg("%s: %s is not at byte %zu", row->name, o->name, o->at);
  memcpy(op + o->at, &none, sizeof none);
}

static void rows_are_about_their_structs(void **state)
{
  (void)state;
  for (int id = 0; id < OP_COUNT; id++) {
    clear(id);
    assert_true(row->name && row->name[0] && row->kernel);
    for (int other = 0; other < id; other++) assert_string_not_equal(row->name, op_rows[other].name);
    int n = row->operands(op, operand);
    if (n < 1 || n > MOST_OPERANDS) fail_msg("%s has %d operands", row->name, n);
    for (int i = 0; i < n; i++) check_operand(&operand[i]);
  }
}

/* Outputs stand first, and a backward op adds: it overwrites nothing. */
static void outputs_stand_first(void **state)
{
  (void)state;
  for (int id = 0; id < OP_COUNT; id++) {
    clear(id);
    int n = row->operands(op, operand), inputs = 0;
    bool backward = strstr(row->name, "_backward") != NULL;
    for (int i = 0; i < n; i++) {
      Access how = operand[i].access;
      inputs += how == READ || how == INDEX;
      if (inputs && (how == WRITE || how == UPDATE)) fail_msg("%s: %s stands after inputs", row->name, operand[i].name);
      if (backward && how == WRITE) fail_msg("%s overwrites %s", row->name, operand[i].name);
    }
  }
}

/* The sizes of a struct say how many numbers there are, and in how many parts. */
static void counts_follow_the_sizes(void **state)
{
  (void)state;
  Linear linear = {.rows = 6, .in = 3, .out = 5};
  assert_int_equal(op_rows[OP_linear].parts(&linear), 6);
  assert_int_equal(op_rows[OP_linear].operands(&linear, operand), 4);
  assert_int_equal(operand[0].count, 30);
  assert_int_equal(operand[0].terms, 3);
  assert_int_equal(operand[1].count, 18);
  assert_int_equal(operand[2].count, 15);
  assert_int_equal(operand[3].count, 5);
  assert_true(operand[0].in_parts && operand[1].in_parts && !operand[2].in_parts && !operand[3].in_parts);
  LinearBackward backward = {.forward = linear};
  op_rows[OP_linear_backward].operands(&backward, operand);
  assert_string_equal(operand[1].name, "gw");
  assert_int_equal(operand[1].count, 15);
  assert_int_equal(operand[1].terms, 6);
  assert_string_equal(operand[1].of, "g x");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_are_about_their_structs),
      cmocka_unit_test(outputs_stand_first),
      cmocka_unit_test(counts_follow_the_sizes),
  };
  return cmocka_run_group_tests_name("ops", tests, NULL, NULL);
}

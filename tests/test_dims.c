/* Sizes in shapes, those that follow from others, and in which blocks something stands (where.c). */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"
#include "hook.h"
#include "where.h"

static void sizes_in_shapes(void **state)
{
  (void)state;
  Dims d = {.L = 3, .C = 8, .history = 5};
  assert_int_equal(dims_size(&d, offsetof(Dims, L)), 3);
  assert_int_equal(dims_size(&d, offsetof(Dims, history)), 5);
  assert_int_equal(dims_size(&d, FIXED(0)), 0);
  assert_int_equal(dims_size(&d, FIXED(77)), 77);
  *dims_at(&d, offsetof(Dims, C)) = 9;
  assert_int_equal(d.C, 9);
}

static void ranks(void **state)
{
  (void)state;
  static const struct {
    double of;
    int rank;
  } cases[] = {{0, 32}, {47.9, 32}, {48, 64}, {48.1, 64}, {79.9, 64}, {80, 64}, {80.1, 96}, {1000, 992}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_int_equal(dims_lora_rank(cases[i].of), cases[i].rank);
}

static void heads(void **state)
{
  (void)state;
  static const struct {
    int A, H, N, heads, size; /* given, then found with a default of 8 */
  } cases[] = {{24, 0, 0, 3, 8}, {24, 0, 6, 4, 6}, {24, 2, 0, 2, 12}, {24, 3, 8, 3, 8}, {20, 0, 0, 1, 20}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    Dims d = {.A = cases[i].A, .H = cases[i].H, .N = cases[i].N};
    dims_complete_heads("v9", &d, 8);
    assert_int_equal(d.H, cases[i].heads);
    assert_int_equal(d.N, cases[i].size);
  }
}

static void complete(void *arg) { dims_complete_heads("v9", arg, 8); }

static void heads_that_do_not_fit(void **state)
{
  (void)state;
  expect_failure(complete, &(Dims){.A = 10, .N = 3}, "v9: 10 channels cannot be split into 3 heads of size 3");
  expect_failure(complete, &(Dims){.A = 10, .H = 4}, "v9: 10 channels cannot be split into 4 heads of size 2");
  expect_failure(complete, &(Dims){.A = 10, .N = 16}, "v9: 10 channels cannot be split into 0 heads of size 16");
  expect_failure(complete, &(Dims){.A = 10, .H = 2, .N = 4}, "v9: 10 channels cannot be split into 2 heads of size 4");
}

static void in_which_blocks(void **state)
{
  (void)state;
  static const Hook hook = {.name = "hook"};
  const Dims plain = {.L = 3}, ffn = {.L = 3, .pre_ffn = 1}, tiny = {.L = 3, .tiny_layer = 2},
             tied = {.L = 3, .tied = 1}, copies = {.L = 3, .Q = 4}, mixed = {.L = 3, .hook = {[HOOK_TIME_MIX] = &hook}},
             decayed = {.L = 3, .hook = {[HOOK_DECAY] = &hook}}, fed = {.L = 3, .hook = {[HOOK_CHANNEL_MIX] = &hook}},
             bare = {.L = 3, .hook = {[HOOK_EMBED_NORM] = &hook}};
  const struct {
    Where *where;
    const Dims *d;
    const char *blocks; /* around the blocks, then blocks 0, 1, 2: whether it stands there; ' ': nobody asks */
  } cases[] = {
      {always, &plain, "1111"},
      {has_head, &plain, "1   "},
      {has_head, &tied, "0   "},
      {has_copy_head, &plain, "0   "},
      {has_copy_head, &copies, "1   "},
      {has_ln0, &plain, " 100"},
      {has_ln0, &bare, " 000"},
      {has_pre_ffn, &plain, " 000"},
      {has_pre_ffn, &ffn, " 100"},
      {has_tiny, &plain, "0000"},
      {has_tiny, &tiny, "1010"},
      {has_time_mix, &plain, " 111"},
      {has_time_mix, &ffn, " 011"},
      {has_time_mix, &mixed, " 000"},
      {has_shift_state, &ffn, " 111"},
      {has_shift_state, &mixed, " 000"},
      {has_decay, &plain, " 111"},
      {has_decay, &ffn, " 011"},
      {has_decay, &mixed, " 000"},
      {has_decay, &decayed, " 000"},
      {has_gate, &decayed, " 111"},
      {has_value_residual, &plain, " 011"},
      {has_value_residual, &mixed, " 000"},
      {has_channel_mix, &plain, " 111"},
      {has_channel_mix, &fed, " 000"},
      {has_ffn_shift, &fed, " 000"},
      {has_ffn_shift, &mixed, " 111"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    for (int layer = -1; layer < 3; layer++) {
      char want = cases[i].blocks[layer + 1];
      if (want != ' ' && cases[i].where(cases[i].d, layer) != (want == '1'))
        fail_msg("case %zu, layer %d: expected %c", i, layer, want);
    }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sizes_in_shapes),       cmocka_unit_test(ranks),           cmocka_unit_test(heads),
      cmocka_unit_test(heads_that_do_not_fit), cmocka_unit_test(in_which_blocks),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The name that was meant: which slips are seen through, and which words are near nothing. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include "engine/nearest.h"

static const char *const names[] = {"weight_decay", "lr", "verify", "head_size", "v4", "v7", "", "decay", "wkv7", NULL};

static void what_was_meant(void **state)
{
  (void)state;
  static const struct {
    const char *word, *meant; /* NULL: nothing is near */
  } cases[] = {
      {"weigth_decay", "weight_decay"},
      {"weight-decay", "weight_decay"},
      {"Weight_Decay", "weight_decay"},
      {"wieght_deacy", "weight_decay"},
      {"verfy", "verify"},
      {"verifyy", "verify"},
      {"head_sise", "head_size"},
      {"headsize", "head_size"},
      {"rl", "lr"},
      {"v5", NULL},
      {"v77", "v7"},
      {"wvk7", "wkv7"},
      {"lrr", "lr"},
      {"decai", "decay"},
      {"verify", "verify"},
      {"x", NULL},
      {"", NULL},
      {"T", NULL},
      {"wd", NULL},
      {"rate", NULL},
      {"betas", NULL},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *found = nearest_name(cases[i].word, names, 9);
    if (!cases[i].meant) assert_null(found);
    else assert_string_equal(found, cases[i].meant);
  }
}

static void long_words_are_near_nothing(void **state)
{
  (void)state;
  char word[200];
  memset(word, 'a', sizeof word - 1);
  word[sizeof word - 1] = 0;
  assert_null(nearest_name(word, (const char *const[]){word, "aaaa"}, 2));
  word[63] = 0;
  assert_ptr_equal(nearest_name(word, (const char *const[]){"aaaa", word}, 2), word);
  assert_string_equal(nearest_hint(word, names), "");
}

static void hints(void **state)
{
  (void)state;
  assert_string_equal(nearest_hint("head_sise", names), ", did you mean 'head_size'?");
  assert_string_equal(nearest_hint("cabbage", names), "");
  assert_null(nearest_name("lr", names, 0));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_was_meant),
      cmocka_unit_test(long_words_are_near_nothing),
      cmocka_unit_test(hints),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

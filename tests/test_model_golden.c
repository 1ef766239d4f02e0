/* What the comparison with golden numbers notices: errors planted in weights and in files. Official numbers:
   test_golden.c. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"
#include "engine/err.h"
#include "files.h"
#include "golden_lines.h"
#include "model_checks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- planted errors in the weights ---- */

/* Whether the lines of kind `kind` (or any line, if NULL) fail. */
static bool fails(const GoldenLine *lines, int count, const char *kind)
{
  bool bad = false;
  for (int i = 0; i < count; i++)
    if (!kind || strcmp(kind, lines[i].kind) == 0) bad |= !golden_line_ok(&lines[i]);
  return bad;
}

/* The number in the parameter that the loss depends on most, relative to its size. */
static size_t most_effective(const Param *p, TensorFile *golden)
{
  char name[PARAM_NAME + 20];
  snprintf(name, sizeof name, "grad.%s", p->name);
  double *g = calloc(p->t->n, sizeof *g);
  size_t best = 0;
  file_read_doubles(golden, file_find(golden, name), g);
  for (size_t i = 0; i < p->t->n; i++)
    if (fabs(g[i] * (double)p->t->data[i]) > fabs(g[best] * (double)p->t->data[best])) best = i;
  free(g);
  return best;
}

/* In every parameter in turn, one weight times 1 + 1e-6: the logits must show it. */
static void check_small_errors(const char *version)
{
  char path[200];
  GoldenLine lines[GOLDEN_MAX_LINES];
  snprintf(path, sizeof path, "tests/golden/%s.weights.safetensors", version);
  Model *m = load_model(path, NULL);
  snprintf(path, sizeof path, "tests/golden/%s.golden.safetensors", version);
  TensorFile *f = file_open(path);
  for (int i = 0; i < m->count; i++) {
    Tensor *t = m->params[i].t;
    size_t at = most_effective(&m->params[i], f);
    real keep = t->data[at];
    t->data[at] *= (real)(1 + 1e-6);
    int count = golden_verify(m, f, 1e-10, lines);
    t->data[at] = keep;
    if (!fails(lines, count, "logits_gpt"))
      fail_msg("%s: the logits do not show an error of 1e-6 in %s", version, m->params[i].name);
  }
  int count = golden_verify(m, f, 1e-10, lines);
  assert_false(fails(lines, count, NULL)); /* the weights are as before */
  file_close(f);
  model_free(m);
}

static void small_errors_in_weights(void **state)
{
  (void)state;
  if (sizeof(real) != 8) {
    printf("SKIPPED: 1e-6 is below what float32 can tell; float64 checks it\n");
    skip();
  }
  check_small_errors("v4");
  check_small_errors("v7");
}

/* ---- planted errors in the golden file ---- */

typedef struct {
  const char *drop;        /* tensor left out */
  const char *rename, *as; /* tensor under another name */
  const char *change;      /* tensor with other numbers: */
  double scale, nan_at;    /* times scale; NaN at this index, if >= 0 */
  const char *shorten;     /* tensor without its last element, as [n-1] */
  const char *token;       /* integer tensor whose first number becomes token_value */
  int token_value;
  bool no_grads;
} Edit;

typedef struct {
  double *doubles;
  int *ints;
} Numbers;

static bool is(const char *name, const char *what) { return what && strcmp(name, what) == 0; }

static void put_entry(TensorFile *f, const FileTensor *e, const Edit *edit, FileWriter *w, Numbers *keep)
{
  int shape[MAX_AXES], axes = e->axes;
  bool ints = e->type >= FILE_I64;
  const char *name = is(e->name, edit->rename) ? edit->as : e->name;
  if (is(e->name, edit->drop) || (edit->no_grads && strncmp(e->name, "grad", 4) == 0)) return;
  memcpy(shape, e->shape, sizeof shape);
  if (is(e->name, edit->shorten)) axes = 1, shape[0] = (int)e->n - 1;
  if (ints) {
    keep->ints = calloc(e->n, sizeof(int));
    file_read_ints(f, e, keep->ints);
    if (is(e->name, edit->token)) keep->ints[0] = edit->token_value;
    writer_put_ints(w, name, axes, shape, keep->ints);
    return;
  }
  keep->doubles = calloc(e->n, sizeof(double));
  file_read_doubles(f, e, keep->doubles);
  for (size_t i = 0; is(e->name, edit->change) && i < e->n; i++) {
    keep->doubles[i] *= edit->scale;
    if ((double)i == edit->nan_at) keep->doubles[i] = NAN;
  }
  writer_put_doubles(w, name, axes, shape, keep->doubles);
}

static const char *edited(const char *golden, const Edit *edit)
{
  const char *path = files_path("edited.safetensors");
  TensorFile *f = file_open(golden);
  FileWriter *w = writer_create(path);
  Numbers *keep = calloc((size_t)file_count(f), sizeof *keep);
  for (int i = 0; i < file_count(f); i++) put_entry(f, file_tensor(f, i), edit, w, &keep[i]);
  writer_finish(w);
  for (int i = 0; i < file_count(f); i++) free(keep[i].doubles), free(keep[i].ints);
  free(keep);
  file_close(f);
  return path;
}

/* float32's own error stays below this; what is planted is above it */
static const double plant_tol = sizeof(real) == 8 ? 1e-10 : 1e-3;

typedef struct {
  TensorFile *file;
  Model *model;
  GoldenLine lines[GOLDEN_MAX_LINES];
  int count;
} Verify;

static void call_verify(void *arg)
{
  Verify *v = arg;
  v->count = golden_verify(v->model, v->file, plant_tol, v->lines);
}

static Model *v7_model(void) { return load_model("tests/golden/v7.weights.safetensors", NULL); }

static const char v7_golden[] = "tests/golden/v7.golden.safetensors";

/* Verifies against the edited file; for reading of lines and count. */
static Verify verify_edited(Model *m, const Edit *edit)
{
  Verify v = {.model = m};
  v.count = verify_against(m, edited(v7_golden, edit), plant_tol, v.lines);
  return v;
}

static void only_fails(const Verify *v, const char *kind, const char *text)
{
  for (int i = 0; i < v->count; i++) {
    bool expected = strcmp(v->lines[i].kind, kind) == 0;
    if (golden_line_ok(&v->lines[i]) == expected)
      fail_msg("with an error in %s the line %s is %s: %g %s", kind, v->lines[i].kind, expected ? "fine" : "not fine",
               v->lines[i].worst, v->lines[i].problem);
    if (expected && !strstr(v->lines[i].problem, text) && !strstr(v->lines[i].at, text))
      fail_msg("%s: neither the problem \"%s\" nor the place \"%s\" has \"%s\"", kind, v->lines[i].problem,
               v->lines[i].at, text);
  }
  assert_non_null(line_of(v->lines, v->count, kind));
}

static void unedited_passes(void **state)
{
  (void)state;
  Model *m = v7_model();
  Verify v = verify_edited(m, &(Edit){.drop = NULL});
  assert_false(fails(v.lines, v.count, NULL));
  assert_int_equal(v.count, 7); /* logits: gpt, rnn, rnn_f32, rnn_exact_w; state, loss, grad */
  v = verify_edited(m, &(Edit){.no_grads = true});
  assert_false(fails(v.lines, v.count, NULL));
  assert_int_equal(v.count, 6);
  model_free(m);
}

/* The wrong sign, a NaN, a tenth too much: each in one tensor. */
static void wrong_numbers(void **state)
{
  (void)state;
  static const struct {
    const char *tensor, *kind;
  } cases[] = {{"grad.blocks.1.att.w0", "grad"},
               {"grad.emb.weight", "grad"},
               {"grad.blocks.2.ffn.key.weight", "grad"},
               {"grad.blocks.0.ln0.bias", "grad"},
               {"grad.blocks.1.att.g2", "grad"},
               {"logits_gpt", "logits_gpt"},
               {"logits_rnn", "logits_rnn"},
               {"logits_rnn_exact_w", "logits_rnn_exact_w"},
               {"logits_rnn_f32", "logits_rnn_f32"},
               {"state.2.att_kv", "state"},
               {"state.0.ffn_xx", "state"},
               {"loss", "loss"}};
  Model *m = v7_model();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    Verify v = verify_edited(m, &(Edit){.change = cases[i].tensor, .scale = -1, .nan_at = -1});
    only_fails(&v, cases[i].kind, cases[i].tensor);
    v = verify_edited(m, &(Edit){.change = cases[i].tensor, .scale = 1, .nan_at = 0});
    only_fails(&v, cases[i].kind, cases[i].tensor);
    v = verify_edited(m, &(Edit){.change = cases[i].tensor, .scale = 1.1, .nan_at = -1});
    only_fails(&v, cases[i].kind, cases[i].tensor);
  }
  model_free(m);
}

static void nan_in_the_model(void **state)
{
  (void)state;
  Model *m = v7_model();
  model_param(m, "blocks.1.ffn.value.weight")->t->data[5] = (real)NAN;
  Verify v = verify_edited(m, &(Edit){.drop = NULL});
  const char *const kinds[] = {"logits_gpt", "logits_rnn", "loss", "grad", "state"};
  for (int i = 0; i < 5; i++) assert_true(fails(v.lines, v.count, kinds[i]));
  model_free(m);
}

static void names_and_shapes(void **state)
{
  (void)state;
  Model *m = v7_model();
  Verify v = verify_edited(m, &(Edit){.rename = "logits_gpt", .as = "logits_got"});
  only_fails(&v, "logits_got", "");
  assert_null(line_of(v.lines, v.count, "logits_gpt"));
  v = verify_edited(m, &(Edit){.rename = "grad.blocks.1.att.w0", .as = "grad.blocks.1.att.w9"});
  assert_non_null(strstr(line_of(v.lines, v.count, "grad.blocks.1.att.w9")->problem, "no such parameter"));
  assert_non_null(line_of(v.lines, v.count, "grad.blocks.1.att.w0")); /* and this one is missed */
  assert_true(fails(v.lines, v.count, "grad.blocks.1.att.w9"));
  assert_true(fails(v.lines, v.count, "grad.blocks.1.att.w0"));
  v = verify_edited(m, &(Edit){.drop = "grad.blocks.2.ln1.bias"});
  only_fails(&v, "grad.blocks.2.ln1.bias", "not in the file");
  v = verify_edited(m, &(Edit){.drop = "grad.head.weight"});
  only_fails(&v, "grad.head.weight", "not in the file");
  v = verify_edited(m, &(Edit){.shorten = "grad.ln_out.weight"});
  only_fails(&v, "grad", "grad.ln_out.weight");
  v = verify_edited(m, &(Edit){.shorten = "logits_gpt"});
  only_fails(&v, "logits_gpt", "logits_gpt");
  v = verify_edited(m, &(Edit){.shorten = "state.1.att_kv"});
  only_fails(&v, "state", "state.1.att_kv");
  v = verify_edited(m, &(Edit){.drop = "targets"}); /* then loss and gradients cannot be checked: it says so */
  assert_true(fails(v.lines, v.count, "loss"));
  assert_false(fails(v.lines, v.count, "logits_gpt"));
  assert_non_null(strstr(line_of(v.lines, v.count, "loss")->problem, "targets"));
  model_free(m);
}

static void verify_fails(Model *m, const Edit *edit, const char *text)
{
  Verify v = {.file = file_open(edited(v7_golden, edit)), .model = m};
  expect_failure(call_verify, &v, text);
  file_close(v.file);
}

static void unusable_files(void **state)
{
  (void)state;
  Model *m = v7_model();
  verify_fails(m, &(Edit){.drop = "tokens"}, "\"tokens\"");
  verify_fails(m, &(Edit){.rename = "logits_gpt", .as = "state.0.att_zz"}, "att_zz");
  verify_fails(m, &(Edit){.shorten = "targets"}, "19 targets for 20 tokens");
  verify_fails(m, &(Edit){.shorten = "tokens"}, "20 targets for 19 tokens");
  verify_fails(m, &(Edit){.token = "tokens", .token_value = 61}, "tokens: 61");
  verify_fails(m, &(Edit){.token = "tokens", .token_value = -1}, "tokens: -1");
  verify_fails(m, &(Edit){.token = "targets", .token_value = 61}, "targets: 61 at sequence 1, position 1");
  verify_fails(m, &(Edit){.rename = "logits_gpt", .as = "tokens_", .drop = "tokens"}, "\"tokens\"");
  Verify v = verify_edited(m, &(Edit){.drop = NULL}); /* the failures have left the model as it was */
  assert_false(fails(v.lines, v.count, NULL));
  assert_false(m->rounded_decay);
  model_free(m);
}

/* Numbers of another model: every line that compares says no, and nothing crashes. */
static void another_model(void **state)
{
  (void)state;
  Model *v4 = load_model("tests/golden/v4.weights.safetensors", NULL);
  Verify v = {.file = file_open(v7_golden), .model = v4};
  const char *message = rwkv_protect(call_verify, &v);
  file_close(v.file);
  assert_true(message != NULL || fails(v.lines, v.count, "logits_gpt"));
  model_free(v4);
  Dims d = {.V = 61, .C = 32, .L = 3, .N = 8};
  Model *v7 = random_model(version_find("v7"), &d, 1);
  GoldenLine lines[GOLDEN_MAX_LINES];
  int count = verify_against(v7, v7_golden, 1e-3, lines);
  for (int i = 0; i < count; i++) assert_false(golden_line_ok(&lines[i]));
  model_free(v7);
}

/* One token of the file differs: so does everything. One target: loss and gradients only. */
static void wrong_token(void **state)
{
  (void)state;
  Model *m = v7_model();
  Verify v = verify_edited(m, &(Edit){.token = "tokens", .token_value = 1});
  for (int i = 0; i < v.count; i++) assert_false(golden_line_ok(&v.lines[i]));
  v = verify_edited(m, &(Edit){.token = "targets", .token_value = 30});
  for (int i = 0; i < v.count; i++) {
    bool touched = strcmp(v.lines[i].kind, "loss") == 0 || strcmp(v.lines[i].kind, "grad") == 0;
    assert_true(golden_line_ok(&v.lines[i]) == !touched);
  }
  model_free(m);
}

#define TEST(name) cmocka_unit_test_setup(name, files_clear)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(small_errors_in_weights), TEST(unedited_passes), TEST(wrong_numbers), TEST(nan_in_the_model),
      TEST(names_and_shapes),        TEST(unusable_files),  TEST(another_model), TEST(wrong_token),
  };
  return cmocka_run_group_tests(tests, files_setup, files_teardown);
}

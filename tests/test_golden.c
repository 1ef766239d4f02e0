/* Our numbers against the official ones. Whether the comparison notices what is wrong: test_model_golden.c. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "engine/err.h"
#include "files.h"
#include "golden_lines.h"
#include "model_checks.h"

#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const bool double_build = sizeof(real) == 8;

/* ---- tolerances ---- */

/* The worst error by kind, in the measure of GoldenLine.worst: what float32 may show, and in brackets the
   worst seen over all versions. In float64 everything is below 2e-13, and 1e-10 is asked for. */
static const struct {
  const char *kind;
  double tol;
} float_tolerance[] = {
    {"logits_gpt", 3e-5},         /* 2.4e-6 */
    {"logits_rnn", 3e-5},         /* 1.7e-6 */
    {"logits_rnn_exact_w", 3e-5}, /* 1.2e-6 */
    {"logits_rnn_f32", 5e-5},     /* 4.6e-6; made in float32, so in float64 as well */
    {"state", 2.5e-4},            /* 2.5e-5: v4's a and b are scaled by e^-p, and p is near 70 */
    {"loss", 6e-7},               /* 6.0e-8 */
    {"grad", 1.4e-4},             /* 1.4e-5 */
    {"grad_l2wrap", 6e-5},        /* 6.0e-6 */
    {"fd", 2e-3},                 /* 2e-4: differences of a loss in float32 where the gradient is off */
};

static double tolerance(const char *kind)
{
  if (double_build) return strcmp(kind, "logits_rnn_f32") == 0 ? 4e-5 : strcmp(kind, "fd") == 0 ? 1e-6 : 1e-10;
  for (size_t i = 0; i < sizeof float_tolerance / sizeof *float_tolerance; i++)
    if (strcmp(kind, float_tolerance[i].kind) == 0) return float_tolerance[i].tol;
  return 0;
}

/* ---- the official numbers ---- */

static void check_lines(const char *path, const GoldenLine *lines, int count)
{
  assert_true(count > 0);
  for (int i = 0; i < count; i++) {
    const GoldenLine *l = &lines[i];
    if (l->problem[0]) fail_msg("%s, %s: %s", path, l->kind, l->problem);
    if (!(l->worst <= tolerance(l->kind)))
      fail_msg("%s, %s: worst %g at %s[%zu], found %.15g, expected %.15g", path, l->kind, l->worst, l->at, l->index,
               l->found, l->expected);
    assert_true(l->tensors > 0 && l->at[0]);
    if (double_build) assert_true(golden_line_ok(l));
  }
}

/* The lines of "<base>.<what>.safetensors", which has logits, a loss and gradients of this kind, whose line is
   returned. */
static const GoldenLine *verify_file(Model *m, const char *base, const char *what, const char *kind)
{
  static GoldenLine lines[GOLDEN_MAX_LINES];
  char path[400];
  snprintf(path, sizeof path, "%s.%s.safetensors", base, what);
  int count = verify_against(m, path, 1e-10, lines);
  check_lines(path, lines, count);
  assert_non_null(line_of(lines, count, "logits_gpt"));
  assert_non_null(line_of(lines, count, "loss"));
  const GoldenLine *line = line_of(lines, count, kind);
  assert_non_null(line);
  return line;
}

/* Of numbers with all gradients: every one of the model's, two files. */
static void verify_two_files(Model *m, const char *base)
{
  assert_int_equal(verify_file(m, base, "golden", "grad")->tensors, m->count);
  verify_file(m, base, "golden_b2", "grad");
}

/* Of numbers by code that has no gradients: three elements of each, by finite differences. */
static void verify_differences(Model *m, const char *base)
{
  assert_int_equal(verify_file(m, base, "golden", "fd")->tensors, m->count);
}

/* Whether the file says that it is of a version there is ("v5_0" is v5.0, "v6_0" is of v6). */
static bool of_known_version(const TensorFile *f)
{
  const char *version = f ? file_meta(f, "version") : NULL;
  if (!version) return true; /* so that it counts as a failure */
  for (int i = 0; version_list()[i]; i++) {
    const char *name = version_list()[i]->name;
    size_t same = 0;
    while (name[same] && (name[same] == version[same] || (name[same] == '.' && version[same] == '_'))) same++;
    if (!name[same]) return true;
  }
  return false;
}

/* Returns how many versions were verified. must: a file of a version there is must not be skipped. */
static int verify_all(const char *pattern, bool must, void (*verify)(Model *m, const char *base))
{
  glob_t found;
  int verified = 0;
  if (glob(pattern, 0, NULL, &found)) return 0;
  for (size_t i = 0; i < found.gl_pathc; i++) {
    ModelLoading l = {.path = found.gl_pathv[i]};
    const char *error = rwkv_protect(load_model_file, &l);
    if (error && must && of_known_version(l.file)) fail_msg("%s", error);
    if (error) printf("SKIPPED: %s\n", error);
    else {
      char base[300];
      snprintf(base, sizeof base, "%.*s", (int)(strlen(l.path) - strlen(".weights.safetensors")), l.path);
      verify(l.model, base);
      verified++;
    }
    model_free(l.model);
    file_close(l.file);
  }
  globfree(&found);
  return verified;
}

static void official_numbers(void **state)
{
  (void)state;
  assert_true(verify_all("tests/golden/*.weights.safetensors", true, verify_two_files) >= 2);
}

/* The release candidates of v7, v7a, v7b, v8. */
static void numbers_without_gradients(void **state)
{
  (void)state;
  assert_int_equal(verify_all("tests/golden/next/*.weights.safetensors", true, verify_differences), 8);
}

static void shared_numbers(void **state)
{
  (void)state;
  if (!files_exist("../shared/golden")) {
    printf("SKIPPED: ../shared/golden: the directory is not there\n");
    skip();
  }
  assert_true(verify_all("../shared/golden/*.weights.safetensors", false, verify_two_files) >= 2);
}

/* ---- gradients measured by their own size ---- */

/* golden_verify counts an error of 1e-10 in a gradient of 1e-6 as small. Here every tensor's worst error
   stands over the tensor's largest number. Returns the worst of all. */
static double worst_gradient(Model *m, TensorFile *f, char *where, size_t room)
{
  const FileTensor *te = file_find(f, "tokens");
  int B = te->axes == 2 ? te->shape[0] : 1, T = te->shape[te->axes - 1];
  int *tokens = calloc(te->n, sizeof *tokens), *targets = calloc(te->n, sizeof *targets);
  file_read_ints(f, te, tokens);
  file_read_ints(f, file_find(f, "targets"), targets);
  State *s = state_new(m, B);
  Tape *tp = tape_new();
  zero_model_grads(m);
  tape_backward(tp, model_loss(tp, m, TOKENS(tokens, B, T), targets, s, NULL, NULL));
  double worst = 0;
  for (int i = 0; i < m->count; i++) {
    char name[PARAM_NAME + 20];
    snprintf(name, sizeof name, "grad.%s", m->params[i].name);
    const FileTensor *e = file_find(f, name);
    if (!e) continue;
    double *want = calloc(e->n, sizeof *want), most = 0, off = 0;
    file_read_doubles(f, e, want);
    for (size_t j = 0; j < e->n; j++) {
      double error = fabs((double)m->params[i].t->grad[j] - want[j]);
      off = isnan(error) ? (double)INFINITY : fmax(off, error), most = fmax(most, fabs(want[j]));
    }
    if (!(off / most <= worst)) worst = off / most, snprintf(where, room, "%s", name);
    free(want);
  }
  state_free(s);
  tape_reset(tp);
  tape_free(tp);
  free(tokens), free(targets);
  return worst;
}

static void gradients_by_their_size(void **state)
{
  (void)state;
  static const char *const versions[] = {"v4", "v7"}, *const files[] = {"golden", "golden_b2"};
  const double tol = double_build ? 1e-12 : 3e-5; /* seen: 4e-14 and 3e-6 */
  for (int v = 0; v < 2; v++) {
    char path[200], where[PARAM_NAME + 20] = "";
    snprintf(path, sizeof path, "tests/golden/%s.weights.safetensors", versions[v]);
    Model *m = load_model(path, NULL);
    for (int i = 0; i < 2; i++) {
      snprintf(path, sizeof path, "tests/golden/%s.%s.safetensors", versions[v], files[i]);
      TensorFile *f = file_open(path);
      double worst = worst_gradient(m, f, where, sizeof where);
      if (!(worst <= tol)) fail_msg("%s, %s: off by %g of its size", path, where, worst);
      file_close(f);
    }
    model_free(m);
  }
}

/* ---- v7 in half precision: the same weights rounded ---- */

/* To a number with `digits` bits after the leading one and no exponent below `lowest`, ties to even. */
static double rounded(double x, int digits, int lowest)
{
  int exponent;
  if (x == 0) return x;
  frexp(x, &exponent); /* x = m 2^exponent, 1/2 <= |m| < 1 */
  double unit = ldexp(1, (exponent - 1 < lowest ? lowest : exponent - 1) - digits);
  return nearbyint(x / unit) * unit;
}

static void verify_rounded(const char *path, int digits, int lowest)
{
  GoldenLine lines[GOLDEN_MAX_LINES];
  Model *m = load_model("tests/golden/v7.weights.safetensors", NULL);
  for (int i = 0; i < m->count; i++)
    for (size_t j = 0; j < m->params[i].t->n; j++)
      m->params[i].t->data[j] = (real)rounded((double)m->params[i].t->data[j], digits, lowest);
  int count = verify_against(m, path, 1e-10, lines);
  check_lines(path, lines, count);
  assert_int_equal(count, 1);
  model_free(m);
}

static void half_precision(void **state)
{
  (void)state;
  verify_rounded("tests/golden/v7.bf16.golden.safetensors", 7, -126);
  verify_rounded("tests/golden/v7.fp16.golden.safetensors", 10, -14);
}

/* ---- small models that somebody trained ---- */

typedef struct {
  double worst, size;
} Difference;

/* Our logits [T,V], as a sequence and token by token, against those of the file. */
static Difference logits_against(Model *m, TensorFile *f, const char *tokens_name, const char *logits_name, int step)
{
  const FileTensor *te = file_find(f, tokens_name), *le = file_find(f, logits_name);
  assert_non_null(te);
  assert_non_null(le);
  int T = (int)te->n, *tokens = calloc(te->n, sizeof *tokens);
  double *want = calloc(le->n, sizeof *want);
  file_read_ints(f, te, tokens);
  file_read_doubles(f, le, want);
  assert_int_equal(le->n, (size_t)(T * m->d.V));
  State *s = state_new(m, 1);
  Difference d = {0, 0};
  for (int t = 0; t < T; t += step) {
    int length = step < T - t ? step : T - t;
    real *x = logits_of(m, tokens + t, 1, length, s);
    for (int j = 0; j < length * m->d.V; j++) {
      double off = fabs((double)x[j] - want[t * m->d.V + j]);
      d.worst = isnan(off) ? (double)INFINITY : fmax(d.worst, off);
      d.size = fmax(d.size, fabs(want[t * m->d.V + j]));
    }
    free(x);
  }
  state_free(s);
  free(tokens), free(want);
  return d;
}

static void tiny_model(const char *name, const char *version)
{
  char path[200];
  snprintf(path, sizeof path, "../shared/data/tiny/%s.safetensors", name);
  if (!files_exist(path)) {
    printf("SKIPPED: %s: the file is not there\n", path);
    return;
  }
  Model *m = load_model(path, NULL);
  assert_string_equal(m->version->name, version);
  snprintf(path, sizeof path, "../shared/data/tiny/%s.expected.safetensors", name);
  TensorFile *f = file_open(path);
  for (int step = 1; step < 200; step += 99) {
    Difference a = logits_against(m, f, "tokens", "official_logits_f64", step);
    Difference b = logits_against(m, f, "tokens_long", "official_logits_long_f64", step);
    double worst = fmax(a.worst, b.worst), tol = double_build ? 1e-9 : 1e-5; /* seen: 9e-15 and 9e-7 */
    if (!(worst <= tol)) fail_msg("%s: logits are off by %g, tolerance %g", name, worst, tol);
  }
  file_close(f);
  model_free(m);
}

static void trained_models(void **state)
{
  (void)state;
  if (!files_exist("../shared/data/tiny")) {
    printf("SKIPPED: ../shared/data/tiny: the directory is not there\n");
    skip();
  }
  tiny_model("tiny-rwkv-4v0-660K", "v4");
  tiny_model("tiny-rwkv-7v0-834K", "v7");
}

#define TEST(name) cmocka_unit_test_setup(name, files_clear)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(official_numbers), TEST(numbers_without_gradients),
      TEST(shared_numbers),   TEST(gradients_by_their_size),
      TEST(half_precision),   TEST(trained_models),
  };
  return cmocka_run_group_tests(tests, files_setup, files_teardown);
}

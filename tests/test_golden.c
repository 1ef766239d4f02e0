/* Our numbers against the official ones, and whether the comparison notices what is wrong. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "engine/err.h"
#include "files.h"
#include "model/golden.h"
#include "models.h"

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
};

static double tolerance(const char *kind)
{
  if (double_build) return strcmp(kind, "logits_rnn_f32") == 0 ? 4e-5 : 1e-10;
  for (size_t i = 0; i < sizeof float_tolerance / sizeof *float_tolerance; i++)
    if (strcmp(kind, float_tolerance[i].kind) == 0) return float_tolerance[i].tol;
  return 0;
}

/* ---- files ---- */

typedef struct {
  const char *path;
  StFile *file;
  Model *model;
  double tol;
  GoldenLine lines[GOLDEN_MAX_LINES];
  int count;
} Load;

static void load(void *arg)
{
  Load *l = arg;
  l->file = st_open(l->path);
  l->model = model_load(l->file, NULL);
}

static Model *loaded(const char *path)
{
  StFile *f = st_open(path);
  Model *m = model_load(f, NULL);
  st_close(f);
  return m;
}

static int verify(Model *m, const char *path, double tol, GoldenLine *lines)
{
  StFile *f = st_open(path);
  int count = golden_verify(m, f, tol, lines);
  st_close(f);
  return count;
}

/* ---- the official numbers ---- */

static void check_lines(const char *path, const GoldenLine *lines, int count)
{
  assert_true(count > 0);
  for (int i = 0; i < count; i++) {
    const GoldenLine *l = &lines[i];
    if (l->problem[0]) fail_msg("%s, %s: %s", path, l->kind, l->problem);
    if (!(l->worst <= tolerance(l->kind)))
      fail_msg("%s, %s: worst %g at %s[%zu], found %.15g, expected %.15g", path, l->kind, l->worst, l->at,
               l->index, l->found, l->expected);
    assert_true(l->tensors > 0 && l->at[0]);
    if (double_build) assert_true(golden_line_ok(l));
  }
}

static const GoldenLine *line(const GoldenLine *lines, int count, const char *kind)
{
  for (int i = 0; i < count; i++)
    if (strcmp(lines[i].kind, kind) == 0) return &lines[i];
  return NULL;
}

/* The two files of numbers beside "<base>.weights.safetensors". */
static void verify_beside(Model *m, const char *base)
{
  char path[400];
  GoldenLine lines[GOLDEN_MAX_LINES];
  snprintf(path, sizeof path, "%s.golden.safetensors", base);
  int count = verify(m, path, 1e-10, lines);
  check_lines(path, lines, count);
  const GoldenLine *grad = line(lines, count, "grad");
  assert_non_null(grad);
  assert_int_equal(grad->tensors, m->count);
  assert_non_null(line(lines, count, "logits_gpt"));
  assert_non_null(line(lines, count, "loss"));
  snprintf(path, sizeof path, "%s.golden_b2.safetensors", base);
  count = verify(m, path, 1e-10, lines);
  check_lines(path, lines, count);
  assert_non_null(line(lines, count, "grad"));
}

/* Whether the file says that it is of a version there is ("v5_0" is v5.0, "v6_0" is of v6). */
static bool of_known_version(const StFile *f)
{
  const char *version = f ? st_meta(f, "version") : NULL;
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
static int verify_all(const char *pattern, bool must)
{
  glob_t found;
  int verified = 0;
  if (glob(pattern, 0, NULL, &found)) return 0;
  for (size_t i = 0; i < found.gl_pathc; i++) {
    Load l = {.path = found.gl_pathv[i]};
    const char *error = rwkv_protect(load, &l);
    if (error && must && of_known_version(l.file)) fail_msg("%s", error);
    if (error) printf("SKIPPED %s\n", error);
    else {
      char base[300];
      snprintf(base, sizeof base, "%.*s", (int)(strlen(l.path) - strlen(".weights.safetensors")), l.path);
      verify_beside(l.model, base);
      verified++;
    }
    model_free(l.model);
    st_close(l.file);
  }
  globfree(&found);
  return verified;
}

static void official_numbers(void **state)
{
  (void)state;
  assert_true(verify_all("tests/golden/*.weights.safetensors", true) >= 2);
}

static void shared_numbers(void **state)
{
  (void)state;
  if (!files_exist("../shared/golden")) {
    printf("SKIPPED ../shared/golden: the directory is not there\n");
    skip();
  }
  assert_true(verify_all("../shared/golden/*.weights.safetensors", false) >= 2);
}

/* ---- gradients measured by their own size ---- */

/* golden_verify counts an error of 1e-10 in a gradient of 1e-6 as small. Here every tensor's worst error
   stands over the tensor's largest number. Returns the worst of all. */
static double worst_gradient(Model *m, StFile *f, char *where, size_t room)
{
  const StEntry *te = st_find(f, "tokens");
  int B = te->axes == 2 ? te->shape[0] : 1, T = te->shape[te->axes - 1];
  int *tokens = calloc(te->n, sizeof *tokens), *targets = calloc(te->n, sizeof *targets);
  st_read_ints(f, te, tokens);
  st_read_ints(f, st_find(f, "targets"), targets);
  State *s = state_new(m, B);
  Tape *tp = tape_new();
  zero_model_grads(m);
  tape_backward(tp, model_loss(tp, m, tokens, targets, B, T, s, 0, NULL));
  double worst = 0;
  for (int i = 0; i < m->count; i++) {
    char name[PARAM_NAME + 20];
    snprintf(name, sizeof name, "grad.%s", m->params[i].name);
    const StEntry *e = st_find(f, name);
    if (!e) continue;
    double *want = calloc(e->n, sizeof *want), most = 0, off = 0;
    st_read_doubles(f, e, want);
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
    Model *m = loaded(path);
    for (int i = 0; i < 2; i++) {
      snprintf(path, sizeof path, "tests/golden/%s.%s.safetensors", versions[v], files[i]);
      StFile *f = st_open(path);
      double worst = worst_gradient(m, f, where, sizeof where);
      if (!(worst <= tol)) fail_msg("%s, %s: off by %g of its size", path, where, worst);
      st_close(f);
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
  Model *m = loaded("tests/golden/v7.weights.safetensors");
  for (int i = 0; i < m->count; i++)
    for (size_t j = 0; j < m->params[i].t->n; j++)
      m->params[i].t->data[j] = (real)rounded((double)m->params[i].t->data[j], digits, lowest);
  int count = verify(m, path, 1e-10, lines);
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
static Difference logits_against(Model *m, StFile *f, const char *tokens_name, const char *logits_name,
                                 int step)
{
  const StEntry *te = st_find(f, tokens_name), *le = st_find(f, logits_name);
  assert_non_null(te);
  assert_non_null(le);
  int T = (int)te->n, *tokens = calloc(te->n, sizeof *tokens);
  double *want = calloc(le->n, sizeof *want);
  st_read_ints(f, te, tokens);
  st_read_doubles(f, le, want);
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
    printf("SKIPPED %s: the file is not there\n", path);
    return;
  }
  Model *m = loaded(path);
  assert_string_equal(m->version->name, version);
  snprintf(path, sizeof path, "../shared/data/tiny/%s.expected.safetensors", name);
  StFile *f = st_open(path);
  for (int step = 1; step < 200; step += 99) {
    Difference a = logits_against(m, f, "tokens", "official_logits_f64", step);
    Difference b = logits_against(m, f, "tokens_long", "official_logits_long_f64", step);
    double worst = fmax(a.worst, b.worst), tol = double_build ? 1e-9 : 1e-5; /* seen: 9e-15 and 9e-7 */
    if (!(worst <= tol)) fail_msg("%s: logits are off by %g, tolerance %g", name, worst, tol);
  }
  st_close(f);
  model_free(m);
}

static void trained_models(void **state)
{
  (void)state;
  if (!files_exist("../shared/data/tiny")) {
    printf("SKIPPED ../shared/data/tiny: the directory is not there\n");
    skip();
  }
  tiny_model("tiny-rwkv-4v0-660K", "v4");
  tiny_model("tiny-rwkv-7v0-834K", "v7");
}

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
static size_t most_effective(const Param *p, StFile *golden)
{
  char name[PARAM_NAME + 20];
  snprintf(name, sizeof name, "grad.%s", p->name);
  double *g = calloc(p->t->n, sizeof *g);
  size_t best = 0;
  st_read_doubles(golden, st_find(golden, name), g);
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
  Model *m = loaded(path);
  snprintf(path, sizeof path, "tests/golden/%s.golden.safetensors", version);
  StFile *f = st_open(path);
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
  st_close(f);
  model_free(m);
}

static void small_errors_in_weights(void **state)
{
  (void)state;
  if (!double_build) skip(); /* 1e-6 is below what float32 can tell */
  check_small_errors("v4");
  check_small_errors("v7");
}

/* ---- planted errors in the golden file ---- */

typedef struct {
  const char *drop;          /* tensor left out */
  const char *rename, *as;   /* tensor under another name */
  const char *change;        /* tensor with other numbers: */
  double scale, nan_at;      /* times scale; NaN at this index, if >= 0 */
  const char *shorten;       /* tensor without its last element, as [n-1] */
  const char *token;         /* integer tensor whose first number becomes token_value */
  int token_value;
  bool no_grads;
} Edit;

typedef struct {
  double *doubles;
  int *ints;
} Numbers;

static bool is(const char *name, const char *what) { return what && strcmp(name, what) == 0; }

static void put_entry(StFile *f, const StEntry *e, const Edit *edit, StWriter *w, Numbers *keep)
{
  int shape[MAX_AXES], axes = e->axes;
  bool ints = e->type >= ST_I64;
  const char *name = is(e->name, edit->rename) ? edit->as : e->name;
  if (is(e->name, edit->drop) || (edit->no_grads && strncmp(e->name, "grad", 4) == 0)) return;
  memcpy(shape, e->shape, sizeof shape);
  if (is(e->name, edit->shorten)) axes = 1, shape[0] = (int)e->n - 1;
  if (ints) {
    keep->ints = calloc(e->n, sizeof(int));
    st_read_ints(f, e, keep->ints);
    if (is(e->name, edit->token)) keep->ints[0] = edit->token_value;
    st_put_ints(w, name, axes, shape, keep->ints);
    return;
  }
  keep->doubles = calloc(e->n, sizeof(double));
  st_read_doubles(f, e, keep->doubles);
  for (size_t i = 0; is(e->name, edit->change) && i < e->n; i++) {
    keep->doubles[i] *= edit->scale;
    if ((double)i == edit->nan_at) keep->doubles[i] = NAN;
  }
  st_put_doubles(w, name, axes, shape, keep->doubles);
}

static const char *edited(const char *golden, const Edit *edit)
{
  const char *path = files_path("edited.safetensors");
  StFile *f = st_open(golden);
  StWriter *w = st_create(path);
  Numbers *keep = calloc((size_t)st_count(f), sizeof *keep);
  for (int i = 0; i < st_count(f); i++) put_entry(f, st_entry(f, i), edit, w, &keep[i]);
  st_finish(w);
  for (int i = 0; i < st_count(f); i++) free(keep[i].doubles), free(keep[i].ints);
  free(keep);
  st_close(f);
  return path;
}

/* float32's own error stays below this; what is planted is above it */
static const double plant_tol = sizeof(real) == 8 ? 1e-10 : 1e-3;

static void call_verify(void *arg)
{
  Load *l = arg;
  l->count = golden_verify(l->model, l->file, l->tol, l->lines);
}

static Model *v7_model(void) { return loaded("tests/golden/v7.weights.safetensors"); }
static const char v7_golden[] = "tests/golden/v7.golden.safetensors";

/* Verifies against the edited file; for reading of lines and count. */
static Load verify_edited(Model *m, const Edit *edit)
{
  const char *path = edited(v7_golden, edit);
  Load l = {.model = m, .tol = plant_tol};
  l.count = verify(m, path, plant_tol, l.lines);
  return l;
}

static void only_fails(const Load *l, const char *kind, const char *text)
{
  for (int i = 0; i < l->count; i++) {
    bool expected = strcmp(l->lines[i].kind, kind) == 0;
    if (golden_line_ok(&l->lines[i]) == expected)
      fail_msg("with an error in %s the line %s is %s: %g %s", kind, l->lines[i].kind,
               expected ? "fine" : "not fine", l->lines[i].worst, l->lines[i].problem);
    if (expected && !strstr(l->lines[i].problem, text) && !strstr(l->lines[i].at, text))
      fail_msg("%s: neither the problem \"%s\" nor the place \"%s\" has \"%s\"", kind, l->lines[i].problem,
               l->lines[i].at, text);
  }
  assert_non_null(line(l->lines, l->count, kind));
}

static void unedited_passes(void **state)
{
  (void)state;
  Model *m = v7_model();
  Load l = verify_edited(m, &(Edit){.drop = NULL});
  assert_false(fails(l.lines, l.count, NULL));
  assert_int_equal(l.count, 7); /* logits: gpt, rnn, rnn_f32, rnn_exact_w; state, loss, grad */
  l = verify_edited(m, &(Edit){.no_grads = true});
  assert_false(fails(l.lines, l.count, NULL));
  assert_int_equal(l.count, 6);
  model_free(m);
}

/* The wrong sign, a NaN, a tenth too much: each in one tensor. */
static void wrong_numbers(void **state)
{
  (void)state;
  static const struct {
    const char *tensor, *kind;
  } cases[] = {{"grad.blocks.1.att.w0", "grad"},           {"grad.emb.weight", "grad"},
               {"grad.blocks.2.ffn.key.weight", "grad"},   {"grad.blocks.0.ln0.bias", "grad"},
               {"grad.blocks.1.att.g2", "grad"},           {"logits_gpt", "logits_gpt"},
               {"logits_rnn", "logits_rnn"},               {"logits_rnn_exact_w", "logits_rnn_exact_w"},
               {"logits_rnn_f32", "logits_rnn_f32"},       {"state.2.att_kv", "state"},
               {"state.0.ffn_xx", "state"},                {"loss", "loss"}};
  Model *m = v7_model();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    Load l = verify_edited(m, &(Edit){.change = cases[i].tensor, .scale = -1, .nan_at = -1});
    only_fails(&l, cases[i].kind, cases[i].tensor);
    l = verify_edited(m, &(Edit){.change = cases[i].tensor, .scale = 1, .nan_at = 0});
    only_fails(&l, cases[i].kind, cases[i].tensor);
    l = verify_edited(m, &(Edit){.change = cases[i].tensor, .scale = 1.1, .nan_at = -1});
    only_fails(&l, cases[i].kind, cases[i].tensor);
  }
  model_free(m);
}

static void nan_in_the_model(void **state)
{
  (void)state;
  Model *m = v7_model();
  model_param(m, "blocks.1.ffn.value.weight")->t->data[5] = (real)NAN;
  Load l = verify_edited(m, &(Edit){.drop = NULL});
  const char *const kinds[] = {"logits_gpt", "logits_rnn", "loss", "grad", "state"};
  for (int i = 0; i < 5; i++) assert_true(fails(l.lines, l.count, kinds[i]));
  model_free(m);
}

static void names_and_shapes(void **state)
{
  (void)state;
  Model *m = v7_model();
  Load l = verify_edited(m, &(Edit){.rename = "logits_gpt", .as = "logits_got"});
  only_fails(&l, "logits_got", "");
  assert_null(line(l.lines, l.count, "logits_gpt"));
  l = verify_edited(m, &(Edit){.rename = "grad.blocks.1.att.w0", .as = "grad.blocks.1.att.w9"});
  assert_non_null(strstr(line(l.lines, l.count, "grad.blocks.1.att.w9")->problem, "no such parameter"));
  assert_non_null(line(l.lines, l.count, "grad.blocks.1.att.w0")); /* and this one is missed */
  assert_true(fails(l.lines, l.count, "grad.blocks.1.att.w9"));
  assert_true(fails(l.lines, l.count, "grad.blocks.1.att.w0"));
  l = verify_edited(m, &(Edit){.drop = "grad.blocks.2.ln1.bias"});
  only_fails(&l, "grad.blocks.2.ln1.bias", "not in the file");
  l = verify_edited(m, &(Edit){.drop = "grad.head.weight"});
  only_fails(&l, "grad.head.weight", "not in the file");
  l = verify_edited(m, &(Edit){.shorten = "grad.ln_out.weight"});
  only_fails(&l, "grad", "grad.ln_out.weight");
  l = verify_edited(m, &(Edit){.shorten = "logits_gpt"});
  only_fails(&l, "logits_gpt", "logits_gpt");
  l = verify_edited(m, &(Edit){.shorten = "state.1.att_kv"});
  only_fails(&l, "state", "state.1.att_kv");
  l = verify_edited(m, &(Edit){.drop = "targets"}); /* then loss and gradients cannot be checked: it says so */
  assert_true(fails(l.lines, l.count, "loss"));
  assert_false(fails(l.lines, l.count, "logits_gpt"));
  assert_non_null(strstr(line(l.lines, l.count, "loss")->problem, "targets"));
  model_free(m);
}

static void verify_fails(Model *m, const Edit *edit, const char *text)
{
  Load l = {.path = edited(v7_golden, edit), .model = m, .tol = plant_tol};
  l.file = st_open(l.path);
  const char *message = rwkv_protect(call_verify, &l);
  st_close(l.file);
  if (!message) fail_msg("nothing failed, expected \"%s\"", text);
  if (!strstr(message, text)) fail_msg("\"%s\" lacks \"%s\"", message, text);
}

static void unusable_files(void **state)
{
  (void)state;
  Model *m = v7_model();
  verify_fails(m, &(Edit){.drop = "tokens"}, "\"tokens\"");
  verify_fails(m, &(Edit){.rename = "logits_gpt", .as = "state.0.att_zz"}, "att_zz");
  verify_fails(m, &(Edit){.shorten = "targets"}, "19 targets for 20 tokens");
  verify_fails(m, &(Edit){.shorten = "tokens"}, "20 targets for 19 tokens");
  verify_fails(m, &(Edit){.token = "tokens", .token_value = 61}, "token 61");
  verify_fails(m, &(Edit){.token = "tokens", .token_value = -1}, "token -1");
  verify_fails(m, &(Edit){.token = "targets", .token_value = 61}, "target 61");
  verify_fails(m, &(Edit){.rename = "logits_gpt", .as = "tokens_", .drop = "tokens"}, "\"tokens\"");
  Load l = verify_edited(m, &(Edit){.drop = NULL}); /* the failures have left the model as it was */
  assert_false(fails(l.lines, l.count, NULL));
  assert_false(m->rounded_decay);
  model_free(m);
}

/* Numbers of another model: every line that compares says no, and nothing crashes. */
static void another_model(void **state)
{
  (void)state;
  Model *v4 = loaded("tests/golden/v4.weights.safetensors");
  Load l = {.path = v7_golden, .model = v4, .tol = plant_tol};
  l.file = st_open(l.path);
  const char *message = rwkv_protect(call_verify, &l);
  st_close(l.file);
  assert_true(message != NULL || fails(l.lines, l.count, "logits_gpt"));
  model_free(v4);
  Dims d = {.V = 61, .C = 32, .L = 3, .N = 8};
  Model *v7 = random_model(version_find("v7"), &d, 1);
  GoldenLine lines[GOLDEN_MAX_LINES];
  int count = verify(v7, v7_golden, 1e-3, lines);
  for (int i = 0; i < count; i++) assert_false(golden_line_ok(&lines[i]));
  model_free(v7);
}

/* One token of the file differs: so does everything. One target: loss and gradients only. */
static void wrong_token(void **state)
{
  (void)state;
  Model *m = v7_model();
  Load l = verify_edited(m, &(Edit){.token = "tokens", .token_value = 1});
  for (int i = 0; i < l.count; i++) assert_false(golden_line_ok(&l.lines[i]));
  l = verify_edited(m, &(Edit){.token = "targets", .token_value = 30});
  for (int i = 0; i < l.count; i++) {
    bool touched = strcmp(l.lines[i].kind, "loss") == 0 || strcmp(l.lines[i].kind, "grad") == 0;
    assert_true(golden_line_ok(&l.lines[i]) == !touched);
  }
  model_free(m);
}

#define TEST(name) cmocka_unit_test_setup(name, files_clear)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(official_numbers),
      TEST(shared_numbers),
      TEST(gradients_by_their_size),
      TEST(half_precision),
      TEST(trained_models),
      TEST(small_errors_in_weights),
      TEST(unedited_passes),
      TEST(wrong_numbers),
      TEST(nan_in_the_model),
      TEST(names_and_shapes),
      TEST(unusable_files),
      TEST(another_model),
      TEST(wrong_token),
  };
  return cmocka_run_group_tests(tests, files_setup, files_teardown);
}

/* Models in files: what is written comes back, sizes follow from shapes, and a misfit is named. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "engine/err.h"
#include "files.h"
#include "models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOR_VERSIONS(v) for (const Version *const *v##_ = version_list(), *v; (v = *v##_) != NULL; v##_++)

enum { B = 2, T = 7 };

/* ---- writing with a fault, loading ---- */

typedef struct {
  const char *drop;              /* parameter left out */
  const char *rename, *as;       /* parameter under another name */
  const char *reshape;           /* parameter with a shape of its own: */
  int axes, shape[MAX_AXES];
  const char *extra[4];          /* tensors [3] that do not belong */
  bool flat, deep;               /* without axes of size 1 in front; vectors with two of them */
  bool meta;
} Edit;

static const real three[64] = {1, 2, 3};

static void put_param(StWriter *w, const Param *p, const Edit *e)
{
  int axes = p->t->axes, shape[ST_MAX_AXES] = {0}, skip_axes = 0;
  const int *from = p->t->shape;
  const char *name = p->name;
  if (e->drop && strcmp(name, e->drop) == 0) return;
  if (e->rename && strcmp(name, e->rename) == 0) name = e->as;
  if (e->reshape && strcmp(name, e->reshape) == 0) {
    st_put(w, name, e->axes, e->shape, three);
    return;
  }
  while (e->flat && skip_axes < axes - 1 && from[skip_axes] == 1) skip_axes++;
  int more = e->deep && axes == 1 ? 2 : 0;
  for (int i = 0; i < more; i++) shape[i] = 1;
  for (int i = skip_axes; i < axes; i++) shape[more + i - skip_axes] = from[i];
  st_put(w, name, axes - skip_axes + more, shape, p->t->data);
}

static const char *write_edited(const Model *m, const Edit *e)
{
  const char *path = files_path("model.safetensors");
  StWriter *w = st_create(path);
  if (e->meta) st_put_meta(w, "version", "v0"); /* a lie: metadata do not count */
  for (int i = 0; i < m->count; i++) put_param(w, &m->params[i], e);
  for (int i = 0; i < 4 && e->extra[i]; i++) st_put(w, e->extra[i], 1, (int[]){3}, three);
  st_finish(w);
  return path;
}

typedef struct {
  const char *path;
  StFile *file;
  Model *model;
} Load;

static void load(void *arg)
{
  Load *l = arg;
  l->file = st_open(l->path);
  l->model = model_load(l->file, NULL);
}

/* For model_free; the file is closed. */
static Model *loaded(const char *path)
{
  StFile *f = st_open(path);
  Model *m = model_load(f, NULL);
  st_close(f);
  return m;
}

static void load_fails(const char *path, const char *a, const char *b, const char *c)
{
  Load l = {.path = path};
  const char *message = rwkv_protect(load, &l);
  st_close(l.file);
  model_free(l.model);
  if (!message) fail_msg("was loaded, expected \"%s\" and \"%s\"", a, b);
  if (!strstr(message, path) || !strstr(message, a) || !strstr(message, b) || !strstr(message, c))
    fail_msg("\"%s\" lacks one of \"%s\", \"%s\", \"%s\", or the file's name", message, a, b, c);
}

static void same_logits(Model *a, Model *b)
{
  int *tokens = random_tokens(1, B * T, a->d.V);
  State *s = state_new(a, B), *t = state_new(b, B);
  real *x = logits_of(a, tokens, B, T, s), *y = logits_of(b, tokens, B, T, t);
  bool same = memcmp(x, y, (size_t)(B * T * a->d.V) * sizeof *x) == 0 && same_states(s, t);
  free(x), free(y), free(tokens);
  state_free(s), state_free(t);
  if (!same) fail_msg("%s: a loaded model gives other logits", a->version->name);
}

static void same_models(Model *a, Model *b)
{
  assert_ptr_equal(a->version, b->version);
  assert_memory_equal(&a->d, &b->d, sizeof a->d);
  assert_int_equal(a->count, b->count);
  assert_false(b->rounded_decay);
  for (int i = 0; i < a->count; i++) {
    const Param *p = &a->params[i], *q = &b->params[i];
    assert_string_equal(p->name, q->name);
    assert_true(tensor_same_shape(p->t, q->t));
    assert_memory_equal(p->t->data, q->t->data, p->t->n * sizeof(real));
    assert_true(q->t->needs_grad && q->t->grad && !q->unused && p->lr_scale == q->lr_scale);
  }
  same_logits(a, b);
}

/* ---- round trips ---- */

static void round_trip(void **state)
{
  (void)state;
  FOR_VERSIONS(v)
    for (int variant = 0; variant < SMALL_SIZES; variant++) {
      Model *m = small_model(v, variant);
      const char *path = files_path("model.safetensors");
      StWriter *w = st_create(path);
      model_write(m, w);
      st_finish(w);
      StFile *f = st_open(path);
      assert_string_equal(st_meta(f, "version"), v->name);
      assert_int_equal(atoi(st_meta(f, "n_layer")), m->d.L);
      assert_int_equal(atoi(st_meta(f, "n_embd")), m->d.C);
      assert_int_equal(atoi(st_meta(f, "vocab_size")), m->d.V);
      assert_int_equal(st_count(f), m->count);
      Model *back = model_load(f, NULL);
      st_close(f); /* the model does not need it any more */
      if (m->d.L == 1) back->d.Dv = m->d.Dv; /* v7: v0..v2 stand in later blocks, nothing tells their rank */
      same_models(m, back);
      model_free(m), model_free(back);
    }
}

static void loads_back(Model *m, const Edit *e)
{
  Model *back = loaded(write_edited(m, e));
  same_models(m, back);
  model_free(back);
}

static void what_does_not_matter(void **state)
{
  (void)state;
  FOR_VERSIONS(v) {
    Model *m = small_model(v, 0);
    loads_back(m, &(Edit){.meta = false});
    loads_back(m, &(Edit){.meta = true});
    loads_back(m, &(Edit){.extra = {"optim.m.emb.weight", "optim.step", "optim.", "optim.blocks.9.x"}});
    loads_back(m, &(Edit){.extra = {"copy_mask", "blocks.1.tiny_mask"}}); /* buffers of the official modules */
    loads_back(m, &(Edit){.flat = true}); /* [C] for [1,1,C] */
    loads_back(m, &(Edit){.deep = true}); /* and the other way round */
    model_free(m);
  }
}

/* All sizes that a version knows, all different, for one to four layers. */
static void sizes_from_shapes(void **state)
{
  (void)state;
  FOR_VERSIONS(v)
    for (int L = 1; L <= 4; L++) {
      Dims d = {.V = 6 + L, .C = 12, .L = L, .F = 31 + L};
      if (!version_uses(v, offsetof(Dims, F))) d.F = 0;
      if (version_uses(v, offsetof(Dims, N)) || version_uses(v, offsetof(Dims, H))) d.N = L % 2 ? 4 : 3;
      if (version_uses(v, offsetof(Dims, Dw))) d.Dw = 7;
      if (version_uses(v, offsetof(Dims, Da))) d.Da = 5;
      if (version_uses(v, offsetof(Dims, Dv))) d.Dv = 3;
      if (version_uses(v, offsetof(Dims, Dg))) d.Dg = 9;
      if (version_uses(v, offsetof(Dims, Q))) d.Q = 8;
      if (version_uses(v, offsetof(Dims, Dm))) d.Dm = 2;
      if (version_uses(v, offsetof(Dims, ctx))) d.ctx = 19;
      if (strcmp(v->name, "v4") == 0) d.A = 10;
      Model *m = random_model(v, &d, (uint64_t)L);
      Model *back = loaded(write_edited(m, &(Edit){.meta = false}));
      if (L == 1) back->d.Dv = m->d.Dv;
      same_models(m, back);
      assert_int_equal(back->d.L, L);
      assert_int_equal(back->d.V, 6 + L);
      assert_int_equal(back->d.F, d.F);
      model_free(m), model_free(back);
    }
}

/* Numbers in half precision are widened. */
static void half_precision(void **state)
{
  (void)state;
  Model *m = small_model(version_list()[0], 2);
  size_t total = model_param_count(m, true), at = 0, room = 100 + (size_t)m->count * 200, used = 0;
  uint16_t *data = calloc(total, sizeof *data);
  char *header = calloc(room, 1);
  for (int i = 0; i < m->count; i++) {
    const Tensor *t = m->params[i].t;
    used += (size_t)snprintf(header + used, room - used,
                             "%c\"%s\":{\"dtype\":\"BF16\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}",
                             i ? ',' : '{', m->params[i].name, tensor_shape(t), 2 * at, 2 * (at + t->n));
    for (size_t j = 0; j < t->n; j++) {
      float x = (float)t->data[j];
      uint32_t bits;
      memcpy(&bits, &x, 4);
      data[at++] = (uint16_t)(bits >> 16);
      bits &= 0xffff0000;
      memcpy(&x, &bits, 4);
      t->data[j] = (real)x;
    }
  }
  snprintf(header + used, room - used, "}");
  const char *path = files_path("half.safetensors");
  files_write_st(path, header, data, total * sizeof *data);
  Model *back = loaded(path);
  same_models(m, back);
  model_free(m), model_free(back);
  free(data), free(header);
}

/* ---- v7: what block 0 does not use ---- */

static void put_unused(StWriter *w, const Model *m, const real *numbers)
{
  st_put(w, "blocks.0.att.v0", 3, (int[]){1, 1, m->d.C}, numbers);
  st_put(w, "blocks.0.att.v1", 2, (int[]){m->d.C, m->d.Dv}, numbers);
  st_put(w, "blocks.0.att.v2", 2, (int[]){m->d.Dv, m->d.C}, numbers);
}

static void unused_value_residual(void **state)
{
  (void)state;
  for (int variant = 0; variant < SMALL_SIZES; variant++) {
    Model *m = small_model(version_find("v7"), variant);
    real numbers[64] = {0};
    for (int i = 0; i < 64; i++) numbers[i] = (real)(i - 30);
    size_t more = (size_t)(m->d.C + 2 * m->d.C * m->d.Dv);
    assert_true(more <= 3 * 64);
    const char *path = files_path("unused.safetensors");
    StWriter *w = st_create(path);
    model_write(m, w);
    put_unused(w, m, numbers);
    st_finish(w);
    Model *with = loaded(path);
    same_logits(m, with);
    assert_int_equal(model_param_count(with, false), model_param_count(m, true));
    assert_int_equal(model_param_count(with, true), model_param_count(m, true) + more);
    assert_int_equal(with->d.Dv, m->d.Dv);
    assert_int_equal(with->count, m->count + 3);
    const Param *v1 = model_param(with, "blocks.0.att.v1");
    assert_non_null(v1);
    assert_true(v1->unused);
    assert_memory_equal(v1->t->data, numbers, v1->t->n * sizeof(real));

    w = st_create(path); /* and they are kept when the model is written again */
    model_write(with, w);
    st_finish(w);
    Model *again = loaded(path);
    assert_int_equal(again->count, with->count);
    same_logits(with, again);
    model_free(m), model_free(with), model_free(again);
  }
}

/* ---- what must fail ---- */

static void misfits_are_named(void **state)
{
  (void)state;
  FOR_VERSIONS(v) {
    Model *m = small_model(v, 0);
    char closest[40];
    int C = m->d.C;
    snprintf(closest, sizeof closest, "%s comes closest", v->name);
    for (int i = 0; i < m->count; i += 3) {
      const char *name = m->params[i].name;
      load_fails(write_edited(m, &(Edit){.drop = name}), closest, name, "missing");
      load_fails(write_edited(m, &(Edit){.rename = name, .as = "blocks.1.other"}), closest, name, "missing");
    }
    load_fails(write_edited(m, &(Edit){.extra = {"spare"}}), closest, "spare", "");
    load_fails(write_edited(m, &(Edit){.extra = {"blocks.0.spare.w"}}), closest, "blocks.0.spare.w", "");
    load_fails(write_edited(m, &(Edit){.extra = {"blocks.3.ln1.weight"}}), closest, "blocks.3.", "");
    load_fails(write_edited(m, &(Edit){.extra = {"optimal"}}), closest, "optimal", "");
    const char *name = "blocks.1.ln1.weight";
    char want[20];
    snprintf(want, sizeof want, "[%d]", C);
    load_fails(write_edited(m, &(Edit){.reshape = name, .axes = 1, .shape = {C + 1}}), closest, name, want);
    load_fails(write_edited(m, &(Edit){.reshape = name, .axes = 2, .shape = {2, C}}), closest, name, "[2,");
    load_fails(write_edited(m, &(Edit){.reshape = name, .axes = 0}), closest, name, want);
    model_free(m);
  }
}

static void integers_are_not_weights(void **state)
{
  (void)state;
  Model *m = small_model(version_list()[0], 2);
  const char *path = files_path("ints.safetensors");
  int numbers[64] = {0};
  StWriter *w = st_create(path);
  for (int i = 0; i < m->count; i++) {
    const Tensor *t = m->params[i].t;
    const char *name = m->params[i].name;
    if (strcmp(name, "blocks.0.ln1.bias") == 0) st_put_ints(w, name, t->axes, t->shape, numbers);
    else st_put(w, name, t->axes, t->shape, t->data);
  }
  st_finish(w);
  load_fails(path, "blocks.0.ln1.bias", "I64", "");
  model_free(m);
}

static void not_models(void **state)
{
  (void)state;
  const char *path = files_path("not.safetensors");
  StWriter *w = st_create(path);
  st_finish(w);
  load_fails(path, "blocks.0", "", "");
  w = st_create(path);
  st_put(w, "logits", 1, (int[]){3}, three);
  st_finish(w);
  load_fails(path, "blocks.0", "", "");
  w = st_create(path);
  st_put(w, "blocks.0.conv.weight", 1, (int[]){3}, three);
  st_finish(w);
  load_fails(path, "comes closest", "missing", "");
  w = st_create(path);
  st_put(w, "blocks.3000.ln1.weight", 1, (int[]){3}, three);
  st_put(w, "blocks.-1.ln1.weight", 1, (int[]){3}, three);
  st_put(w, "blocks.99999999999999999999.ln1.weight", 1, (int[]){3}, three);
  st_finish(w);
  load_fails(path, "", "", "");
  load_fails("tests/golden/v4.golden.safetensors", "blocks.0", "", "");
}

/* All names there, but no channels, or no words. */
static void sizes_of_zero(void **state)
{
  (void)state;
  FOR_VERSIONS(v) {
    Model *m = small_model(v, 2);
    const int saved[] = {m->d.C, m->d.V};
    for (int which = 0; which < 2; which++) {
      const char *path = files_path("zero.safetensors");
      StWriter *w = st_create(path);
      for (int i = 0; i < m->count; i++) {
        const Tensor *t = m->params[i].t;
        int shape[MAX_AXES] = {0};
        for (int a = 0; a < t->axes; a++) shape[a] = t->shape[a] == saved[which] ? 0 : t->shape[a];
        st_put(w, m->params[i].name, t->axes, shape, t->data);
      }
      st_finish(w);
      load_fails(path, "", "", "");
    }
    model_free(m);
  }
}

/* v7's r_k tells the heads: H N must be C. */
static void heads_that_do_not_fit(void **state)
{
  (void)state;
  Model *m = small_model(version_find("v7"), 0);
  Edit e = {.reshape = "blocks.0.att.r_k", .axes = 2, .shape = {2, 4}};
  StWriter *w = st_create(files_path("model.safetensors"));
  for (int i = 0; i < m->count; i++) {
    Edit here = e;
    here.reshape = strstr(m->params[i].name, "att.r_k") ? m->params[i].name : NULL;
    put_param(w, &m->params[i], &here);
  }
  st_finish(w);
  load_fails(files_path("model.safetensors"), "15 channels", "2 heads of size 4", "");
  model_free(m);
}

#define TEST(name) cmocka_unit_test_setup(name, files_clear)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(round_trip),
      TEST(what_does_not_matter),
      TEST(sizes_from_shapes),
      TEST(half_precision),
      TEST(unused_value_residual),
      TEST(misfits_are_named),
      TEST(integers_are_not_weights),
      TEST(not_models),
      TEST(sizes_of_zero),
      TEST(heads_that_do_not_fit),
  };
  return cmocka_run_group_tests(tests, files_setup, files_teardown);
}

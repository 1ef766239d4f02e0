/* Which version a file is: sizes follow from shapes, and a misfit is named. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "files.h"
#include "model_checks.h"
#include "model_files.h"

#include <stdio.h>
#include <string.h>

/* ---- what is known without being told ---- */

static void loads_back(Model *m, const ModelEdit *e)
{
  Model *back = load_model(write_edited(m, e), NULL);
  must_be_same_models(m, back);
  model_free(back);
}

static void what_does_not_matter(void **state)
{
  (void)state;
  FOR_VERSIONS(v) {
    Model *m = small_model(v, 0);
    loads_back(m, &(ModelEdit){.meta = false});
    loads_back(m, &(ModelEdit){.meta = true});
    loads_back(m, &(ModelEdit){.extra = {"optim.m.emb.weight", "optim.step", "optim.", "optim.blocks.9.x"}});
    loads_back(m, &(ModelEdit){.extra = {"copy_mask", "blocks.1.tiny_mask"}}); /* buffers of the official modules */
    loads_back(m, &(ModelEdit){.flat = true});                                 /* [C] for [1,1,C] */
    loads_back(m, &(ModelEdit){.deep = true});                                 /* and the other way round */
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
      if (version_uses(v, offsetof(Dims, Dk))) d.Dk = 4;
      if (version_uses(v, offsetof(Dims, Dka))) d.Dka = 6, d.Dkw = 11;
      if (version_uses(v, offsetof(Dims, Q))) d.Q = 8;
      if (version_uses(v, offsetof(Dims, Dm))) d.Dm = 2;
      if (version_uses(v, offsetof(Dims, ctx))) d.ctx = 19;
      if (strcmp(v->name, "v4") == 0) d.A = 10;
      Model *m = random_model(v, &d, (uint64_t)L);
      Model *back = load_model(write_edited(m, &(ModelEdit){.meta = false}), NULL);
      if (L == 1) back->d.Dv = m->d.Dv;
      must_be_same_models(m, back);
      assert_int_equal(back->d.L, L);
      assert_int_equal(back->d.V, 6 + L);
      assert_int_equal(back->d.F, d.F);
      model_free(m), model_free(back);
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
      load_fails(write_edited(m, &(ModelEdit){.drop = name}), closest, name, "missing");
      load_fails(write_edited(m, &(ModelEdit){.rename = name, .as = "blocks.1.other"}), closest, name, "missing");
    }
    load_fails(write_edited(m, &(ModelEdit){.extra = {"spare"}}), closest, "spare", "");
    load_fails(write_edited(m, &(ModelEdit){.extra = {"blocks.0.spare.w"}}), closest, "blocks.0.spare.w", "");
    load_fails(write_edited(m, &(ModelEdit){.extra = {"blocks.3.ln1.weight"}}), closest, "blocks.3.", "");
    load_fails(write_edited(m, &(ModelEdit){.extra = {"optimal"}}), closest, "optimal", "");
    const char *name = "blocks.1.ln1.weight";
    char want[20];
    snprintf(want, sizeof want, "[%d]", C);
    load_fails(write_edited(m, &(ModelEdit){.reshape = name, .axes = 1, .shape = {C + 1}}), closest, name, want);
    load_fails(write_edited(m, &(ModelEdit){.reshape = name, .axes = 2, .shape = {2, C}}), closest, name, "[2,");
    load_fails(write_edited(m, &(ModelEdit){.reshape = name, .axes = 0}), closest, name, want);
    model_free(m);
  }
}

static void not_models(void **state)
{
  (void)state;
  const char *path = files_path("not.safetensors");
  FileWriter *w = writer_create(path);
  writer_finish(w);
  load_fails(path, "blocks.0", "", "");
  w = writer_create(path);
  writer_put(w, "logits", 1, (int[]){3}, few);
  writer_finish(w);
  load_fails(path, "blocks.0", "", "");
  w = writer_create(path);
  writer_put(w, "blocks.0.conv.weight", 1, (int[]){3}, few);
  writer_finish(w);
  load_fails(path, "comes closest", "missing", "");
  w = writer_create(path);
  writer_put(w, "blocks.3000.ln1.weight", 1, (int[]){3}, few);
  writer_put(w, "blocks.-1.ln1.weight", 1, (int[]){3}, few);
  writer_put(w, "blocks.99999999999999999999.ln1.weight", 1, (int[]){3}, few);
  writer_finish(w);
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
      FileWriter *w = writer_create(path);
      for (int i = 0; i < m->count; i++) {
        const Tensor *t = m->params[i].t;
        int shape[MAX_AXES] = {0};
        for (int a = 0; a < t->axes; a++) shape[a] = t->shape[a] == saved[which] ? 0 : t->shape[a];
        writer_put(w, m->params[i].name, t->axes, shape, t->data);
      }
      writer_finish(w);
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
  ModelEdit e = {.reshape = "blocks.0.att.r_k", .axes = 2, .shape = {2, 4}};
  FileWriter *w = writer_create(files_path("model.safetensors"));
  for (int i = 0; i < m->count; i++) {
    ModelEdit here = e;
    here.reshape = strstr(m->params[i].name, "att.r_k") ? m->params[i].name : NULL;
    put_edited(w, &m->params[i], &here);
  }
  writer_finish(w);
  load_fails(files_path("model.safetensors"), "15 channels", "2 heads of size 4", "");
  model_free(m);
}

#define TEST(name) cmocka_unit_test_setup(name, files_clear)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(what_does_not_matter), TEST(sizes_from_shapes), TEST(misfits_are_named),
      TEST(not_models),           TEST(sizes_of_zero),     TEST(heads_that_do_not_fit),
  };
  return cmocka_run_group_tests(tests, files_setup, files_teardown);
}

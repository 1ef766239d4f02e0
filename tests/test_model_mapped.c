/* Weights that stay in the file: a model of them computes as any other, keeps the file, and notices when it is
   changed. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"
#include "engine/backend.h"
#include "engine/err.h"
#include "files.h"
#include "model_files.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const int three[] = {1, 2, 3};

static const char *packed_file(Model *m, Storage storage)
{
  const char *path = files_path("packed.safetensors");
  Model *p = model_pack(m, storage);
  FileWriter *w = writer_create(path);
  model_write(p, w);
  writer_finish(w);
  model_free(p);
  return path;
}

static Model *load_mapped(const char *path)
{
  TensorFile *f = file_open(path);
  Model *m = model_load(f, &(LoadOptions){.packed = true});
  file_close(f);
  return m;
}

static bool inside(const void *p, const FileTensor *t)
{
  const unsigned char *at = p;
  return at == t->bytes;
}

static void matrices_stay_where_they_are(void **state)
{
  (void)state;
  Model *m = small_model(version_find("v7"), 0);
  for (int storage = STORED_BF16; storage <= STORED_F16; storage++) {
    TensorFile *f = file_open(packed_file(m, (Storage)storage));
    Model *mapped = model_load(f, &(LoadOptions){.packed = true});
    int there = 0;
    for (int i = 0; i < mapped->count; i++) {
      const Tensor *t = mapped->params[i].t;
      if (t->packed.bits) there += inside(t->packed.bits, file_find(f, mapped->params[i].name));
    }
    assert_true(there > 10);
    file_close(f);
    Model *copy = model_pack(m, (Storage)storage);
    must_give_same_logits(copy, mapped);
    model_free(copy), model_free(mapped);
  }
  model_free(m);
}

/* Of what a token takes a row of, the rest of the table is never touched. */
static void tables_of_tokens_stay_where_they_are(void **state)
{
  (void)state;
  static const char *const versions[] = {"v7a", "v7b", "v8_rc00", "v8_rc00_hybrid"};
  static const char *const tables[] = {"s_emb", "qkv.k_emb", "qkv.v_emb", "enn", "ennk", "emm"};
  int there = 0;
  for (size_t v = 0; v < 2 * (sizeof versions / sizeof *versions); v++) { /* also as they are computed with */
    Model *m = small_model(version_find(versions[v / 2]), 0);
    TensorFile *f = file_open(packed_file(m, v % 2 ? STORED_BF16 : STORED_F32));
    Model *mapped = model_load(f, &(LoadOptions){.packed = true});
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
      for (int k = 0; k < mapped->count; k++) {
        char end[40];
        const char *name = mapped->params[k].name;
        snprintf(end, sizeof end, ".%s.weight", strrchr(tables[i], '.') ? strrchr(tables[i], '.') + 1 : tables[i]);
        const char *at = strstr(name, end);
        if (!at || at[strlen(end)]) continue;
        assert_non_null(mapped->params[k].t->packed.bits);
        there += inside(mapped->params[k].t->packed.bits, file_find(f, name));
      }
    }
    file_close(f);
    model_free(mapped), model_free(m);
  }
  assert_int_equal(there, 2 * 3 * (1 + 3 + 1 + 3)); /* in three layers */
}

typedef struct {
  Model *m;
  Tape *tp;
  State *state;
} Run;

static void run(void *arg)
{
  Run *r = arg;
  model_logits(r->tp, r->m, TOKENS(three, 1, 3), r->state);
}

static void notices_that_the_file_changed(void **state)
{
  (void)state;
  Model *m = small_model(version_find("v7"), 0);
  for (int how = 0; how < 3; how++) {
    const char *path = packed_file(m, STORED_BF16);
    Run r = {load_mapped(path), tape_new(), NULL};
    r.state = state_new(r.m, 1);
    assert_null(rwkv_protect(run, &r));
    FILE *f = fopen(path, how == 2 ? "r+" : "r");
    if (how == 0) assert_int_equal(truncate(path, 100), 0); /* pages that are gone */
    if (how == 1) assert_int_equal(truncate(path, 0), 0);
    if (how == 2) usleep(20000), fputc('x', f);
    fclose(f);
    expect_failure_with(run, &r, path, "was changed since it was opened", NULL);
    state_free(r.state);
    tape_free(r.tp);
    model_free(r.m);
  }
  model_free(m);
}

/* As every download does it: the new file takes the old one's name. */
static void another_file_of_that_name_does_no_harm(void **state)
{
  (void)state;
  Model *m = small_model(version_find("v7"), 0), *other = small_model(version_find("v7"), 1);
  Model *mapped = load_mapped(packed_file(m, STORED_BF16)), *copy = model_pack(m, STORED_BF16);
  packed_file(other, STORED_BF16);
  must_give_same_logits(copy, mapped);
  unlink(files_path("packed.safetensors"));
  must_give_same_logits(copy, mapped);
  model_free(mapped), model_free(copy), model_free(m), model_free(other);
}

#define TEST(name) cmocka_unit_test_setup(name, files_clear)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(matrices_stay_where_they_are),
      TEST(tables_of_tokens_stay_where_they_are),
      TEST(notices_that_the_file_changed),
      TEST(another_file_of_that_name_does_no_harm),
  };
  return cmocka_run_group_tests(tests, files_setup, files_teardown);
}

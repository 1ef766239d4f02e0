/* Models in several files: directories, indexes, and what can be wrong with them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"
#include "file_calls.h"
#include "files.h"
#include "model_files.h"

#include "spec.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void write_text(const char *path, const char *text) { files_write(path, text, strlen(text)); }

static void write_one(const char *path, const char *name, real x)
{
  FileWriter *w = writer_create(path);
  writer_put(w, name, 1, (int[]){1}, &x);
  writer_put_meta(w, "format", "pt");
  writer_finish(w);
}

#define INDEX "{\"metadata\":{\"total_size\":8},\"weight_map\":{"

static const char *in_directory(const char *name)
{
  static char path[4][400];
  static int turn;
  mkdir(files_path("model"), 0777);
  snprintf(path[turn = (turn + 1) % 4], sizeof path[0], "%s/%s", files_path("model"), name);
  return path[turn];
}

static void one_number(TensorFile *f, const char *name, real x)
{
  real found = 0;
  const FileTensor *t = file_find(f, name);
  assert_non_null(t);
  file_read(f, t, &found);
  assert_true(found == x);
}

static void two_shards(void **state)
{
  (void)state;
  write_one(in_directory("model-00001-of-00002.safetensors"), "a", 1);
  write_one(in_directory("model-00002-of-00002.safetensors"), "b", 2);
  const char *index = in_directory("model.safetensors.index.json");
  write_text(index, INDEX "\"a\":\"model-00001-of-00002.safetensors\",\"b\":\"model-00002-of-00002.safetensors\"}}");
  for (int i = 0; i < 2; i++) {
    TensorFile *f = file_open(i ? files_path("model") : index);
    assert_int_equal(file_count(f), 2);
    assert_string_equal(file_format(f), "safetensors in 2 files");
    assert_string_equal(file_meta(f, "format"), "pt");
    one_number(f, "a", 1);
    one_number(f, "b", 2);
    file_close(f);
  }
  real x = 2;
  FileWriter *w = writer_create(in_directory("model-00002-of-00002.safetensors"));
  writer_put(w, "b", 1, (int[]){1}, &x);
  writer_put_meta(w, "format", "tf");
  writer_finish(w);
  open_must_fail(index, "metadata \"format\" is \"");
}

static void broken_indexes(void **state)
{
  (void)state;
  const char *index = in_directory("model.safetensors.index.json");
  write_one(in_directory("one.safetensors"), "a", 1);
  static const struct {
    const char *text, *says;
  } cases[] = {
      {INDEX "\"a\":\"one.safetensors\",\"b\":\"two.safetensors\"}}", "two.safetensors, which is not there"},
      {INDEX "\"b\":\"one.safetensors\"}}", "has the tensor \"b\", which is not so"},
      {INDEX "\"a\":\"../one.safetensors\"}}", "not the name of a file beside it"},
      {INDEX "\"a\":\"\"}}", "not the name of a file beside it"},
      {INDEX "\"a\":1}}", "the place of \"a\""},
      {INDEX "}}", "weight_map is empty"},
      {"{\"weight_map\":[]}", "without a weight_map"},
      {"{\"hidden_size\":64}", "without a weight_map"},
      {"{\"hidden_size\":64", "is none"},
      {INDEX "\"a\":\"model.safetensors.index.json\"}}", "index"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    write_text(index, cases[i].text);
    open_must_fail(index, cases[i].says);
  }
}

static void directories(void **state)
{
  (void)state;
  mkdir(files_path("model"), 0777);
  open_must_fail(files_path("model"), "without a model");
  write_one(in_directory("anything.safetensors"), "a", 3);
  write_text(in_directory("config.json"), "{\"head_dim\":8,\"tie\":true,\"model_type\":\"rwkv7\",\"list\":[1]}");
  TensorFile *f = file_open(files_path("model"));
  one_number(f, "a", 3);
  assert_string_equal(file_meta(f, "config.head_dim"), "8");
  assert_string_equal(file_meta(f, "config.tie"), "true");
  assert_string_equal(file_meta(f, "config.model_type"), "rwkv7");
  assert_null(file_meta(f, "config.list"));
  file_close(f);
  write_text(in_directory("config.json"), "{");
  open_must_fail(files_path("model"), "config.json");
  write_text(in_directory("config.json"), "{}");
  write_one(in_directory("other.safetensors"), "a", 4);
  open_must_fail(files_path("model"), "2 files of tensors: name the one");
  write_one(in_directory("model.safetensors"), "a", 5);
  f = file_open(files_path("model"));
  one_number(f, "a", 5);
  file_close(f);
}

static void a_file_for_each_tensor(void **state)
{
  (void)state;
  mkdir(files_path("model"), 0777);
  write_text(in_directory("b.txt"), "2\n");
  write_text(in_directory("a.x.txt"), "1\n");
  write_text(in_directory("notes.md"), "no numbers");
  TensorFile *f = file_open(files_path("model"));
  assert_string_equal(file_format(f), "2 files of one tensor");
  assert_int_equal(file_count(f), 2);
  one_number(f, "a.x", 1);
  one_number(f, "b", 2);
  file_close(f);
  write_text(in_directory("c.txt"), "3\nx\n");
  open_must_fail(files_path("model"), "c.txt: is text, not safetensors, and line 2");
}

/* A shard alone says what it is. */
static void a_shard_alone(void **state)
{
  (void)state;
  Model *m = small_model(version_find("v7"), 0);
  const char *path = write_edited(m, &(ModelEdit){.drop = "emb.weight"});
  const char *shard = files_path("model-00002-of-00002.safetensors");
  assert_int_equal(rename(path, shard), 0);
  load_fails(shard, "one of several files", "directory or index", "");
  model_free(m);
}

/* What people take for files of tensors. */
static void foreign_files(void **state)
{
  (void)state;
#define CASE(bytes, says)         \
  {                               \
    bytes, sizeof bytes - 1, says \
  }
  static const struct {
    const char *bytes;
    size_t n;
    const char *says;
  } cases[] = {
      CASE("", "is empty"),
      CASE("GGUF\3\0\0\0\0\0\0\0", "header"),
      CASE("fmgg\0\0\0\0", "rwkv.cpp"),
      CASE("\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20j\xa8\x50\x19.", "before 1.6"),
      CASE("\x80\x04\x95\0\0\0\0\0", "pickle"),
      CASE("version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"),
      CASE("<!DOCTYPE html><html>", "web page"),
      CASE("<html><head>404", "web page"),
      CASE("\x1f\x8b\x08\0\0\0\0\0\0", "gzip"),
      CASE("\x7f"
           "ELF\2\1\1",
           "program"),
      CASE("Entry not found", "not safetensors"),
      CASE("short", "\"short\", expected a number"),
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    files_write(files_path("what.pth"), cases[i].bytes, cases[i].n);
    open_must_fail(files_path("what.pth"), cases[i].says);
  }
  static const unsigned lengths[] = {0x280, 0x380, 0x480, 0x580, 0x8b1f}; /* as pickles and gzip begin */
  for (size_t i = 0; i < COUNT(lengths); i++) {
    char header[0x8b20];
    snprintf(header, sizeof header, "%-*s", (int)lengths[i], "{}");
    files_write_st(files_path("what.safetensors"), header, "", 0);
    file_close(file_open(files_path("what.safetensors")));
  }
  static const char zeros[8192];
  files_write(files_path("what.pth"), zeros, sizeof zeros);
  open_must_fail(files_path("what.pth"), "nothing but zeros");
  open_must_fail(files_path("missing.pth"), "No such file");
}

#define TEST(name) cmocka_unit_test_setup(name, files_clear)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(two_shards),    TEST(broken_indexes), TEST(directories), TEST(a_file_for_each_tensor),
      TEST(a_shard_alone), TEST(foreign_files),
  };
  return cmocka_run_group_tests(tests, files_setup, files_teardown);
}

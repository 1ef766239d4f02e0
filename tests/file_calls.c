#include "file_calls.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"

#include <math.h>
#include <string.h>

const double awkward[AWKWARD] = {0, -0.0, 1, -1.5, 0.1, 1e300, -1e-300, 5e-324, INFINITY, -INFINITY, NAN, 1.0 / 3};

void file_call_open(void *arg) { ((FileCall *)arg)->file = file_open(((FileCall *)arg)->path); }
void file_call_finish(void *arg) { writer_finish(((FileCall *)arg)->writer); }

void file_call_read(void *arg)
{
  FileCall *c = arg;
  file_read(c->file, c->entry, c->out);
}

void file_call_read_ints(void *arg)
{
  FileCall *c = arg;
  file_read_ints(c->file, c->entry, c->out);
}

void file_call_read_doubles(void *arg)
{
  FileCall *c = arg;
  file_read_doubles(c->file, c->entry, c->out);
}

void open_must_fail(const char *path, const char *text)
{
  expect_failure_with(file_call_open, &(FileCall){.path = path}, path, text, NULL);
}

bool same_bits(double a, double b) { return memcmp(&a, &b, sizeof a) == 0; }

void check_file_tensor(const TensorFile *f, const char *name, FileType type, int axes, const int *shape, size_t n)
{
  const FileTensor *e = file_find(f, name);
  if (!e) fail_msg("\"%s\" is not there", name);
  assert_string_equal(e->name, name);
  assert_int_equal(e->type, type);
  assert_int_equal(e->axes, axes);
  for (int i = 0; i < axes; i++) assert_int_equal(e->shape[i], shape[i]);
  assert_int_equal(e->n, n);
}

/* Zip archives: what stands in them, and what is wrong with one. NumPy's files are the smallest there are. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check.h"
#include "engine/err.h"
#include "file_calls.h"
#include "files.h"
#include "zip_bytes.h"

#include <stdlib.h>
#include <string.h>

/* An array of two doubles, 1 and 2. */
static const char npy[] = "\x93NUMPY\1\0\x3a\0{'descr': '<f8', 'fortran_order': False, 'shape': (2,)}  \n"
                          "\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\0\x40";
enum { NPY = sizeof npy - 1 };

static ZipBytes z;

static const char *write_archive(void)
{
  const char *path = files_path("x.npz");
  zip_bytes_end(&z);
  files_write(path, z.bytes, z.size);
  return path;
}

static void holds(const TensorFile *f, const char *name)
{
  double found[2];
  check_file_tensor(f, name, FILE_F64, 1, (int[]){2}, 2);
  file_read_doubles(f, file_find(f, name), found);
  assert_true(found[0] == 1 && found[1] == 2);
}

/* "\1", two lengths, the bytes: the smallest that deflate allows. */
static size_t deflated(unsigned char *out)
{
  memcpy(out, (unsigned char[]){1, NPY & 255, NPY >> 8, ~NPY & 255, (~NPY >> 8) & 255}, 5);
  memcpy(out + 5, npy, NPY);
  return NPY + 5;
}

static void stored_and_deflated(void **state)
{
  (void)state;
  unsigned char packed[NPY + 5];
  z = (ZipBytes){0};
  zip_bytes_add(&z, "b.npy", npy, NPY);
  zip_bytes_add(&z, "dir/a.npy", npy, NPY);
  zip_bytes_add(&z, "metadata.json", "{\"key\":\"text\"}", 14);
  TensorFile *f = file_open(write_archive());
  assert_string_equal(file_format(f), "NumPy");
  assert_int_equal(file_count(f), 2);
  holds(f, "b"), holds(f, "dir/a");
  assert_int_equal(file_find(f, "b")->place, 0); /* in the order of the archive */
  assert_string_equal(file_meta(f, "key"), "text");
  file_close(f);

  z = (ZipBytes){.method = 8, .claimed = NPY};
  zip_bytes_add(&z, "a.npy", packed, deflated(packed)); /* with a checksum of the wrong bytes */
  open_must_fail(write_archive(), "entry a.npy could not be unpacked: it is damaged");
}

static void other_archives(void **state)
{
  (void)state;
  z = (ZipBytes){0};
  open_must_fail(write_archive(), "of 0 entries, neither");
  z = (ZipBytes){0};
  zip_bytes_add(&z, "word/document.xml", "", 0);
  open_must_fail(write_archive(), "of 1 entries (word/document.xml, ..), neither PyTorch's");
  z = (ZipBytes){0};
  zip_bytes_add(&z, "a.npy", npy, NPY);
  zip_bytes_add(&z, "b.txt", "", 0);
  open_must_fail(write_archive(), "of 2 entries (a.npy, ..), neither");
  z = (ZipBytes){0};
  zip_bytes_add(&z, "a.npy", npy, NPY);
  zip_bytes_add(&z, "a.npy", npy, NPY);
  open_must_fail(write_archive(), "entry a.npy stands there twice");
  z = (ZipBytes){0};
  zip_bytes_add(&z, "a\n.npy", npy, NPY);
  open_must_fail(write_archive(), "control character");
  z = (ZipBytes){.method = 12};
  zip_bytes_add(&z, "a.npy", npy, NPY);
  open_must_fail(write_archive(), "entry a.npy is compressed by method 12");
  z = (ZipBytes){.claimed = 1u << 31, .method = 8};
  zip_bytes_add(&z, "a.npy", npy, NPY);
  open_must_fail(write_archive(), "claims more bytes than it can have");
  z = (ZipBytes){.claimed = 1u << 26, .method = 8};
  zip_bytes_add(&z, "a.npy", npy, NPY);
  memset(z.directory + 20, 0x20, 4); /* packed, too, it is said to be larger than the file */
  open_must_fail(write_archive(), "it does not end within the file");
  z = (ZipBytes){.claimed = 7};
  zip_bytes_add(&z, "a.npy", npy, NPY);
  open_must_fail(write_archive(), "it is stored, but has two sizes");
}

/* Sizes of 1 GiB in a small file, both of them: no memory is taken by that. */
static void sizes_that_lie(void **state)
{
  (void)state;
  z = (ZipBytes){.claimed = 1u << 30, .method = 8};
  zip_bytes_add(&z, "a.npy", npy, NPY);
  memcpy(z.directory + 20, (unsigned char[]){0, 0, 0, 0x40}, 4);
  const char *path = write_archive();
  memory_limit(memory_used() + (64u << 20), "the test");
  open_must_fail(path, "it does not end within the file");
  memory_limit(0, NULL);
}

static void cut_or_changed(void **state)
{
  (void)state;
  z = (ZipBytes){0};
  zip_bytes_add(&z, "a.npy", npy, NPY);
  zip_bytes_add(&z, "metadata.json", "{\"key\":\"text\"}", 14);
  const char *path = write_archive();
  size_t n = z.size;
  unsigned char *whole = files_read(path, &n);
  for (size_t cut = 0; cut < n; cut++) {
    files_write(path, whole, cut);
    open_must_fail(path, cut >= 4 ? "is a zip archive that was cut short" : "");
  }
  for (size_t i = 0; i < n; i++)
    for (int bit = 0; bit < 8; bit++) {
      double found[2];
      whole[i] ^= (unsigned char)(1 << bit);
      files_write(path, whole, n);
      whole[i] ^= (unsigned char)(1 << bit);
      FileCall c = {.path = path, .out = found};
      const char *message = rwkv_protect(file_call_open, &c);
      if (message && !strstr(message, path)) fail_msg("no name in: %s", message);
      if (message) continue;
      for (int j = 0; j < file_count(c.file); j++) {
        c.entry = file_tensor(c.file, j);
        assert_true(c.entry->n <= 2);
        assert_null(rwkv_protect(file_call_read_doubles, &c));
      }
      file_close(c.file);
    }
  free(whole);
}

#define TEST(name) cmocka_unit_test_setup(name, files_clear)

int main(void)
{
  const struct CMUnitTest tests[] = {TEST(stored_and_deflated), TEST(other_archives), TEST(sizes_that_lie),
                                     TEST(cut_or_changed)};
  return cmocka_run_group_tests(tests, files_setup, files_teardown);
}

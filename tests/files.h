/* Temporary files for tests: one directory a program, removed by files_teardown. */
#ifndef AVIARY_TEST_FILES_H
#define AVIARY_TEST_FILES_H

#include <stdbool.h>
#include <stddef.h>

/* For cmocka_run_group_tests: make the directory, and remove it with all that is in it. */
int files_setup(void **state);
int files_teardown(void **state);
int files_clear(void **state); /* before or after a single test: removes what is in the directory */

const char *files_path(const char *name); /* inside the directory; in a small rotating buffer */
int files_count(void);                    /* how many files the directory holds */

/* These end the program when they fail: it would be the test's fault. */
void files_write(const char *path, const void *bytes, size_t n);
/* A safetensors file: the header's length, the header as it stands, then the data. */
void files_write_st(const char *path, const char *header, const void *data, size_t n);
unsigned char *files_read(const char *path, size_t *n); /* to be freed */
bool files_exist(const char *path);

#endif

/* A model against a file of golden numbers, line by line. */
#ifndef AVIARY_TEST_GOLDEN_LINES_H
#define AVIARY_TEST_GOLDEN_LINES_H

#include "model/golden.h"

int verify_against(Model *m, const char *path, double tol, GoldenLine *lines);   /* how many lines */
const GoldenLine *line_of(const GoldenLine *lines, int count, const char *kind); /* NULL: there is none */

#endif

#include "copy_plan.h"

#include <stdlib.h>
#include <string.h>

/* Rows in `from`, to `to` in the order of their keys 0 .. keys - 1; those of equal keys stay as they are. start[key]
   tells where they begin, start[keys] is n. */
static void sort_rows(int *to, const int *from, const int *key, size_t n, size_t keys, int *start)
{
  memset(start, 0, (keys + 1) * sizeof *start);
  for (size_t i = 0; i < n; i++) start[key[i] + 1]++;
  for (size_t k = 0; k < keys; k++) start[k + 1] += start[k];
  for (size_t i = 0; i < n; i++) to[start[key[from[i]]]++] = from[i];
  for (size_t k = keys; k > 0; k--) start[k] = start[k - 1];
  start[0] = 0;
}

/* first[token] gets where it stands first, next[u] where the token of u stands next, or -1. first[V] is -1 before and
   after. */
static void group(int *grouped, int *of_grouped, const int *token, size_t U, int *next, int *first)
{
  for (size_t u = U; u-- > 0;) next[u] = first[token[u]], first[token[u]] = (int)u;
  size_t n = 0;
  for (size_t u = 0; u < U; u++) {
    if (first[token[u]] != (int)u) continue; /* not the first of its token, or no longer */
    for (int at = (int)u; at >= 0; at = next[at]) grouped[n] = at, of_grouped[n++] = token[u];
    first[token[u]] = -1;
  }
}

CopyPlan copy_plan(const CopyScores *op, size_t tile)
{
  size_t rows = op->rows, B = op->B, U = op->U, BU = B * U, most = rows / tile + B;
  size_t kept = 2 * rows + B + 1 + 3 * BU + 3 * most, work = rows + larger(U + 1, B) + 1 + U + op->V;
  int *room = (int *)calloc(kept + work, sizeof *room);
  if (!room) device_fail("the host has no %.0f MB left for the order of the copy head", (double)(kept + work) * 4e-6);
  int *order = room, *limit = order + rows, *start = limit + rows, *token = start + B + 1, *grouped = token + BU,
      *of_grouped = grouped + BU;
  CopyTile *tiles = (CopyTile *)(void *)(of_grouped + BU);
  int *by_limit = room + kept, *begin = by_limit + rows, *next = begin + larger(U + 1, B) + 1, *first = next + U;
  for (size_t i = 0; i < rows; i++) order[i] = (int)i;
  sort_rows(by_limit, order, op->limit, rows, U + 1, begin);
  sort_rows(order, by_limit, op->batch, rows, B, start);
  for (size_t i = 0; i < rows; i++) limit[i] = op->limit[order[i]];
  memcpy(token, op->token, BU * sizeof *token);
  for (size_t v = 0; v < op->V; v++) first[v] = -1;
  for (size_t b = 0; b < B; b++) group(grouped + b * U, of_grouped + b * U, token + b * U, U, next, first);
  size_t n = 0;
  for (int b = 0; b < (int)B; b++)
    for (int i = start[b]; i < start[b + 1]; i += (int)tile)
      tiles[n++] = {b, i, (int)smaller(tile, (size_t)(start[b + 1] - i))};
  size_t at[] = {
      0, rows, 2 * rows, 2 * rows + B + 1, 2 * rows + B + 1 + BU, 2 * rows + B + 1 + 2 * BU, kept - 3 * most};
  const int *there = (const int *)device_copy(room, kept * sizeof *room);
  free(room);
  return {there + at[0],
          there + at[1],
          there + at[2],
          there + at[3],
          there + at[4],
          there + at[5],
          (const CopyTile *)(const void *)(there + at[6]),
          n};
}

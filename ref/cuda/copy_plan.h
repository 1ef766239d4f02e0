/* In which order the copy head's rows and positions are taken, made on the host. */
#ifndef AVIARY_CUDA_COPY_PLAN_H
#define AVIARY_CUDA_COPY_PLAN_H

#include "device.h"

typedef struct { /* a tile of rows of one sequence: order[first], .. */
  int b, first, count;
} CopyTile;

typedef struct {      /* addresses of the device */
  const int *order;   /* [rows] sequence by sequence, and in each by how much they see; */
  const int *limit;   /* [rows] and what they see, in that order */
  const int *start;   /* [B+1] where a sequence begins in it */
  const int *token;   /* [B,U] */
  const int *grouped; /* [B,U] the positions of a sequence, equal tokens side by side, the earlier before the later; */
  const int *of_grouped; /* [B,U] and their tokens */
  const CopyTile *tile;  /* [tiles] */
  size_t tiles;
} CopyPlan;

CopyPlan copy_plan(const CopyScores *op, size_t tile);

#endif

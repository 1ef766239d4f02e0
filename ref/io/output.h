/* Files that are written, and names that are made or taken away: beneath one directory if there is a limit.

   Nothing is checked first and opened by its path afterwards: a path is followed directory by directory through open
   handles that lead through no link, so it cannot be bent while it is used. What is written takes the place of an older
   file whole or not at all; its temporary name is made for it alone, beside it, and nobody else's file.

   All functions return 0, an errno, or OUTSIDE. */
#ifndef AVIARY_OUTPUT_H
#define AVIARY_OUTPUT_H

#include <stdio.h>

enum { OUTSIDE = -1, NAME_ROOM = 256 };

/* From here on nothing is written but beneath this directory, which is made when something is; NULL: anywhere. EINVAL
   if there can be no such directory. */
int output_limit(const char *directory);
const char *output_limited(void);     /* as it was given; NULL: anywhere */
const char *output_root(void);        /* the same, absolute and without links */
const char *output_problem(int code); /* in words */

/* Whether a file may be written there, or its name made and taken away: 0 or OUTSIDE; ELOOP for a link that would be
   written. Whatever else is wrong, doing it will say. */
int output_check(const char *path);
int output_check_name(const char *path);
int output_mkdir(const char *path);                  /* with all above it; 0 if it is there */
int output_remove(const char *path);                 /* the name, not what a link leads to */
int output_rename(const char *from, const char *to); /* never over what is no file */
/* Opens in place, with the flags of open(2). */
int output_open(const char *path, int flags, int *fd);

/* A file in the making. */
typedef struct {
  FILE *file;
  int directory;
  char name[NAME_ROOM], temporary[NAME_ROOM];
} Output;

int output_begin(Output *o, const char *path);
int output_commit(Output *o); /* the path now names the whole file; on failure it is abandoned */
void output_abandon(Output *o);
void output_discard(void); /* from here on what is committed is abandoned: another program writes it */
/* Removes what killed programs left in a directory of files in the making; not what somebody is still writing. */
void output_sweep(const char *directory);

#endif

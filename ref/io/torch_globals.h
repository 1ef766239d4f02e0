/* The names of Python's that a file of tensors may use, and what each is for. There are no others. */
#ifndef AVIARY_TORCH_GLOBALS_H
#define AVIARY_TORCH_GLOBALS_H

typedef enum {
  PLAIN,     /* makes or is a plain value, in which no tensor is looked for */
  CONTAINER, /* makes something that dicts or lists are put into */
  TENSOR,    /* makes a tensor; type: which argument is its dtype, 0: the storage has it */
  WRAPPER,   /* makes a tensor of the tensor that is its first argument */
  FROM_TYPE, /* makes a tensor by another global, with its attributes */
  UNREAD,    /* makes a tensor that is not read */
  STORAGE,   /* a type of storage; FILE_TYPES: not read */
  DTYPE,     /* the same */
} TorchRole;

typedef struct {
  const char *name; /* "module.name" */
  TorchRole role;
  int type;
} TorchGlobal;

const TorchGlobal *torch_global(const char *name); /* NULL: not expected */
void torch_check_global(const char *name);         /* fails with what to do, if it is not */

#endif

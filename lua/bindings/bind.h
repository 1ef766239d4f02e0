/* What the bindings share. They turn Lua values into arguments and results into Lua values; they do no
   arithmetic on tensor data.

   Lifetimes. What a script creates (rwkv.tensor, rwkv.model, ...) lives as long as the script holds it.
   What it computes lives in the tape's arena until the step ends: opt:step() ends it, and the next
   computation begins a new one. A handle that has outlived its step raises an error. */
#ifndef AVIARY_BIND_H
#define AVIARY_BIND_H

#include "around.h"
#include "rwkv.h"

#include <lauxlib.h>
#include <string.h>
#include <lua.h>

/* ---- registration and errors (bind.c) ---- */

/* Adds functions of the module to the table on top of the stack, each behind the guard through which a rwkv_fail
   becomes a Lua error at the script's line. */
void add_functions(lua_State *L, const luaL_Reg *functions);
/* The same into the table `private` of rwkv.core, which is on top: for the library alone. */
void add_private(lua_State *L, const luaL_Reg *functions);
/* A new metatable `name`, "rwkv.model", with methods (as __index) and metamethods. */
void add_class(lua_State *L, const char *name, const luaL_Reg *methods, const luaL_Reg *metamethods);
void add_methods(lua_State *L, const char *class, const luaL_Reg *methods); /* to a class that there is */
/* For bindings that call back into Lua: lua_pcall during which bindings may be used, and lua_error for what
   came out of it. */
int guarded_pcall(lua_State *L, int arguments, int results);
int rethrow(lua_State *L);

/* A script's finalizer can get hold of an object that is itself about to be finalized. `remember` notes an object in
   a weak table, from which Lua takes it before it runs any finalizer. check_lasting raises if it is no longer there:
   nothing that outlives the call may refer to it then. Finalizers call note_finalized: an object that still stands
   there shows that the program is ending, and no binding may be used any more. */
void remember(lua_State *L, int index);
void check_lasting(lua_State *L, int index);
void note_finalized(lua_State *L, int index);
bool push_remembered(lua_State *L, const void *object); /* pushes the object at the address, or nil; says which */

lua_State *bound_state(void); /* of the binding that is at work */

/* ---- numbers, lists and fields of tables (fields.c) ---- */

/* Lists and options are read without metamethods: no script runs while a binding holds a tensor. */
lua_Integer list_length(lua_State *L, int index);
lua_Integer check_list(lua_State *L, int index, const char *what); /* the same; raises where it has more than entries */
int raw_field(lua_State *L, int table, const char *name);          /* pushes it, returns its type; table: absolute */

/* The whole number at index, from low to high; raises with `what` otherwise, so that none is cut to 32 bits. */
int int_argument(lua_State *L, int index, int low, int high, const char *what);
int opt_int_argument(lua_State *L, int index, int low, int high, int otherwise, const char *what); /* nil and none */
const char *type_text(lua_State *L, int index);  /* "table"; of what is ours its class, "tensor" */
const char *value_text(lua_State *L, int index); /* a number or string, or else its type; pushes it */
double number_field(lua_State *L, int table, const char *name, double otherwise);    /* raises on non-numbers */
int integer_field(lua_State *L, int table, const char *name, int otherwise);         /* 0 and above */
bool boolean_field(lua_State *L, int table, const char *function, const char *name); /* nil is false */
/* Raises "forward: into is a number, expected a tensor" for the field on top of the stack, unless it fits. */
void check_field(lua_State *L, bool fits, const char *function, const char *name, const char *expected);

/* ---- the step (step.c) ---- */

Tape *step_tape(lua_State *L);          /* the tape to compute on; begins a new step if the last one has ended */
Tape *step_tape_as_it_is(lua_State *L); /* to look at what it holds: the step may have ended */
void step_hold(lua_State *L, int by);   /* +1: a hook is at work, the step cannot end; -1: no longer */
bool step_held(lua_State *L);
void step_end(lua_State *L);            /* the next computation may forget all tensors of this step */
void step_pin(lua_State *L, int index); /* keeps the value alive until the step's memory is gone */
uint64_t step_scope(lua_State *L);      /* identifies the innermost lifetime; see step_alive */
bool step_alive(lua_State *L, uint64_t scope);
void open_step(lua_State *L);

/* ---- tensors (tensor.c) ---- */

typedef struct {
  Tensor *t;
  bool owned;     /* freed with the handle */
  uint64_t scope; /* for a tensor of the tape: the lifetime it belongs to; otherwise 0 */
} TensorHandle;

Tensor *check_tensor(lua_State *L, int index);                /* for reading; raises if it is stale */
Tensor *check_numbers(lua_State *L, int index);               /* the same, not packed: it can be computed with */
Tensor *check_operand(lua_State *L, int index);               /* the same, pinned: for use on the tape */
Tensor *opt_operand(lua_State *L, int index);                 /* NULL for nil and none */
Tensor *operand_or_number(lua_State *L, int index, Tape *tp); /* a number becomes a tensor of shape [] */
int push_step(lua_State *L, Tensor *t);                       /* a tensor of the tape; returns 1 */
int push_owned(lua_State *L, Tensor *t);                      /* a tensor for the handle to free */
Tensor *new_owned(lua_State *L, int axes, const int *shape);  /* zeros, in a handle on top of the stack */
int push_borrowed(lua_State *L, Tensor *t, int owner);        /* lives as long as the value at `owner` */
Tensor *new_copy(lua_State *L, const Tensor *t); /* its numbers, in a handle on top of the stack (numbers.c) */
bool is_tensor(lua_State *L, int index);
bool keep_argument(lua_State *L, int index);                       /* nil or a boolean; raises */
int axis_argument(lua_State *L, int index, const Tensor *t);       /* 1.. or -1.. -> 0..; raises */
int shape_arguments(lua_State *L, int first, int shape[MAX_AXES]); /* numbers or one table; returns axes */
int tensor_to_string(lua_State *L);                                /* the metamethod (print.c) */
void open_tensor(lua_State *L);       /* creation, access, printing; methods are added to the table rwkv.Tensor */
void open_tensor_ops(lua_State *L);   /* operators and methods that compute */
void open_tensor_array(lua_State *L); /* rows, axes, comparing */
void open_recurrence(lua_State *L);   /* shift, wkv2 .. wkv7 */
void open_steps(lua_State *L);        /* recurrences that Lua has recorded */

/* ---- the numbers of a tensor one after the other (numbers.c) ---- */

enum { PART = 512 };

/* {.t = t} stands before the first number. */
typedef struct {
  const Tensor *t;
  size_t at, end; /* what comes next; how many have been read */
  real part[PART];
} Reader;
typedef struct {
  Tensor *t;
  size_t at;
  real part[PART];
} Writer;

real next_number(Reader *r);
void put_number(Writer *w, real x); /* the tensor has them all when the last one is there */

/* ---- the range of an argument's numbers (range.c) ---- */

typedef struct {
  double low, high;
  const char *what; /* after "expected": "at most 0" */
  bool ends;        /* low and high themselves only */
  bool nan;         /* NaN passes: it stays one */
} Range;

extern const Range log_decay, at_most_0, at_least_0, at_least_0_or_nan, any_number, zero_or_one;

/* Raises, at once or on a device when numbers are read next, for the number farthest outside, or the first one there:
   "wkv7: w is 0.93 at [1,17,3], expected a log-decay, at most 0". To be called after the op, which looks at shapes:
   they come first. */
void check_range(lua_State *L, const char *op, const char *name, const Tensor *t, const Range *r);
double within(lua_State *L, double x, const Range *r, const char *what); /* x, finite; raises */
double number_argument(lua_State *L, int index, double otherwise, const Range *r,
                       const char *what);                                              /* finite; raises */
double positive_argument(lua_State *L, int index, double otherwise, const char *what); /* above 0 and finite; raises */
const char *number_text(lua_State *L, double x);                                       /* pushes it */

/* ---- a script's function that is told how far something is (told.c) ---- */

typedef struct {
  lua_State *L;
  int function; /* its index */
  bool failed;  /* the function did; its error is on top of the stack */
} Told;
void tell(void *told, size_t done, size_t all); /* calls it; fails if it does */

/* ---- hooks (hook.c) ---- */

/* The hooks by slot in the table at index (or nil) into d; v: whose own ones are passed over, or NULL. Pushes a table
   that keeps them alive. */
void read_hooks(lua_State *L, int index, const Version *v, Dims *d);
void hook_call(HookCall *c);                      /* runs the script's function */
void push_words(lua_State *L, const char *words); /* "r w k" -> {"r", "w", "k"} */
/* The table of sizes that a hook in the slot is given. */
void push_hook_sizes(lua_State *L, const Version *v, const Dims *d, HookSlot slot);

/* ---- integers: tokens and targets (tokens.c) ---- */

typedef struct {
  int B, T;    /* T: of the longest sequence */
  int *length; /* [B]; NULL: all of length T. What stands behind an end is undefined */
  int id[];
} Tokens;

/* Tokens at index: a Tokens value, a list {3,1,4} (one sequence) or a list of lists. A list is replaced on the stack by
   a Tokens value, so it lives as long as the call. check_tokens wants sequences of equal length. */
const Tokens *check_sequences(lua_State *L, int index, const char *what);
const Tokens *check_tokens(lua_State *L, int index, const char *what);
/* A new one on top of the stack, ids undefined; at least [1,1]. what: for errors. */
Tokens *new_tokens(lua_State *L, lua_Integer B, lua_Integer T, const char *what);
const Tokens *test_tokens(lua_State *L, int index); /* NULL if it is no Tokens value */
/* Raises for the first id outside; high: of the ids that there are. */
void check_ids(lua_State *L, const char *what, const Tokens *ids, int low, int high);
void open_tokens(lua_State *L);

/* ---- what a model is run over (batch.c) ---- */

/* The tokens [B,T] or vectors [B,T,C] at index 2 with the options at index 4, which may be nil: lengths, starts, and
   those in the list, which ends with NULL. What it refers to stays on the stack. */
Batch read_batch(lua_State *L, const char *function, const char *const *options);

/* ---- the rest ---- */

Model *check_model(lua_State *L, int index);
Model **new_model(lua_State *L); /* an empty handle on top of the stack; its uservalue 1 shall keep the hooks */
/* Told of the numbers that are there is the function at the index, if there is one. */
Model *make_model(lua_State *L, const Version *v, const Dims *d, uint64_t seed, bool uniform, int function);
void push_config(lua_State *L, const Version *v, const Dims *d); /* a table of version, sizes and names of hooks */
State *check_state(lua_State *L, int index);
State **push_state(lua_State *L, int keeper); /* an empty handle for a state of the model or state at keeper */
/* The version, sizes and hooks in the table at index, as rwkv.model takes them; pushes a table that keeps the hooks. */
const Version *read_design(lua_State *L, int index, const char *function, Dims *d, double *seed);
Optim *check_optim(lua_State *L, int index);

/* ---- how functions are called (calls.c) ---- */

/* "x:sum(axis, keep)" of a method of a class ("tensor") or a function of the module ("rwkv"); NULL if it is not laid
   down. */
const char *call_of(const char *of, const char *name);
void check_count(lua_State *L, const char *call,
                 int first); /* raises if more arguments stand on the stack from there */

/* ---- names that there are (known.c); lists end with NULL ---- */

/* For a class, whose metatable is on top of the stack: a name that its methods do not have, and what is assigned, are
   errors. one: "tensor". */
void refuse_unknown(lua_State *L, const char *one);
/* Raises "tensor: there is no 'sun', did you mean x:sum(axis, keep)?" methods, name: where they are, absolute. */
int unknown_method(lua_State *L, const char *one, int methods, int name);

/* Raises on a key of the table that is not in the list: a misspelt option is an error. */
void known_fields(lua_State *L, int table, const char *function, const char *const *names);

void open_model(lua_State *L);
void open_model_run(lua_State *L);
void open_model_file(lua_State *L);
void open_state(lua_State *L);
void open_hook(lua_State *L);
void open_optim(lua_State *L);
void open_gradients(lua_State *L);
void open_session(lua_State *L);
void open_rng(lua_State *L);
void open_sampler(lua_State *L);
void open_golden(lua_State *L);
void open_compare(lua_State *L);
void open_tensor_file(lua_State *L);
void open_convert(lua_State *L);
void open_tensor_load(lua_State *L);
TensorFile **push_file(lua_State *L); /* room for a file on top of the stack, which Lua closes; NULL at first */
void open_model_info(lua_State *L);
void open_tokenizer(lua_State *L);
void open_zip(lua_State *L);
void open_system(lua_State *L);
void open_backend(lua_State *L);
void open_files(lua_State *L);
void open_gnuplot(lua_State *L);
void open_inspect(lua_State *L);
void open_digest(lua_State *L);
void open_known(lua_State *L);
void open_commit(lua_State *L);
void open_calls(lua_State *L);

/* ---- files that are written (files.c) ---- */

void check_writable(lua_State *L, const char *path); /* raises unless the script may write there */
/* What the sandbox has in the place of io.open, io.output, os.remove, os.rename. */
int script_open(lua_State *L);
int script_output(lua_State *L);
int script_remove(lua_State *L);
int script_rename(lua_State *L);

/* ---- the program around the bindings; what they ask of it: around.h ---- */

/* Computes with the backend "cuda", or with that of a module at a path; matmul: NULL for what is usual. Returns what is
   wrong with it, or NULL (backend.c). */
const char *open_backend_module(const char *name, int device, const char *matmul);
/* In what linear maps round their factors on the CPU, "full" or "bf16". Returns what is wrong, or NULL. */
const char *round_factors(const char *in);
bool computes_on_device(void);
const char *threading(void); /* whose threads share a loop: "pthreads" or "openmp" */
/* Under OMP_PROC_BIND and OMP_PLACES the first thread of a process is tied to one processor before main() begins, and
   every process that it starts would be tied there, too. From here on it is not; OpenMP ties the other threads. */
void free_first_thread(void);
size_t device_bytes(void); /* that its tensors take; memory_used counts the host's alone */

/* From here on every binding raises: finalizers that run while Lua closes find objects half gone. */
void bindings_close(void);

/* The one name that the module for a stock Lua shows. */
__attribute__((visibility("default"))) int luaopen_rwkv_core(lua_State *L);

#endif

/* A model: a version's parameters at some sizes, and the run from tokens to logits or loss. */
#ifndef AVIARY_MODEL_H
#define AVIARY_MODEL_H

#include "engine/optim.h"
#include "io/writer.h"
#include "layout.h"

typedef struct {
  char name[PARAM_NAME]; /* official: "blocks.0.att.key.weight" */
  Tensor *t;             /* with gradient */
  double lr_scale;       /* learning-rate multiple */
  bool unused;           /* a file has it, but nothing depends on it */
} Param;

typedef struct {
  const Version *version;
  Dims d;
  Param *params;
  int count;
  void *global;           /* the version's struct of the parameters around the blocks */
  void **blocks;          /* [L] its structs of the parameters of each block */
  Tensor ***hook_params;  /* [L,HOOK_SLOTS] the parameters of the hooks, in the order of their lists */
  const void *host;       /* whose it is, for hooks that need to know; may be NULL */
  bool inference;         /* no parameter has a gradient, and matrices may be packed */
  Arena tensors, weights; /* of a model for inference: all of it, in large pages, which are read faster */
  TensorFile *file;       /* where packed matrices are, if they are not in `weights`; may be NULL */
  bool rounded_decay;     /* v7: 0.606531 for e^{-1/2}, as the official inference code has it */
} Model;

/* ---- versions (versions.c, count.c) ---- */
const Version *const *version_list(void);             /* ends with NULL */
bool version_has_size(const Version *v, size_t size); /* an offset into Dims; its parameters have it */
const Version *version_find(const char *name);        /* fails, naming the versions there are */

typedef struct {
  size_t params, unused; /* numbers that matter, and v7's block 0 value residual as some files hold it */
  size_t state;          /* numbers per sequence, after `tokens` tokens */
  double flops;          /* of the forward pass for one token: 2 per weight of a linear map, and the mixing of the
                            version itself, not of a hook */
} Counts;

/* d: complete (see Version.complete). Nothing is allocated. */
Counts version_counts(const Version *v, const Dims *d, int tokens);
size_t version_state_floats(const Version *v, const Dims *d, int tokens);
bool version_state_grows(const Version *v, const Dims *d); /* with the tokens */
/* Checks V, C, L and the hooks, and fills in the rest, as model_new does. */
Dims version_complete(const Version *v, const Dims *d);

/* ---- models (new.c, build.c, pack.c) ---- */

/* A new model with the official initialisation. d: V, C and L are required, the rest may be 0 for the
   official defaults. The same seed gives the same numbers everywhere. */
Model *model_new(const Version *version, const Dims *d, uint64_t seed);
/* The same, but with uniform numbers of variance 1 / columns in all matrices that are multiplied: at sizes where the
   orthogonal ones take long, for measuring. */
Model *model_new_uniform(const Version *version, const Dims *d, uint64_t seed);
/* Either, told now and then how many of all numbers are there. `tell` may fail; so does rwkv_poll, in between. */
typedef struct {
  void (*tell)(void *watching, size_t done, size_t all); /* or NULL */
  void *watching;
} NewWatch;
Model *model_new_watched(const Version *version, const Dims *d, uint64_t seed, bool uniform, NewWatch watch);

/* A copy for inference; the version's matrices that are multiplied are rounded to `storage`. A number that is too large
   for it fails. */
Model *model_pack(const Model *m, Storage storage);
void model_free(Model *m);

Param *model_param(Model *m, const char *name); /* NULL if there is none */
size_t model_param_count(const Model *m, bool with_unused);
size_t model_param_bytes(const Param *p); /* in memory, without its gradient */

/* ---- files (recognise.c, metadata.c, read.c, write.c) ---- */

typedef struct {
  const Dims *hooks; /* whose hooks the model has, as in hook and layer_hook (L of them); NULL: none */
  int head_size;     /* where no shape and no metadata tells it; 0: not given */
  /* For inference: the version's matrices that are multiplied stay as the file has them, in F32, BF16 or F16, and where
     it has them, if the backend can look there; all else (and F64) becomes `real`. */
  bool packed;
} LoadOptions;

/* The model in a file; options may be NULL. Version and sizes follow from the names and shapes alone, whatever family
   the names are of (names.h); fails with what is missing, left over or of the wrong shape for the version that comes
   closest, and for a size that nothing tells. Tensors whose name starts with "optim." (a checkpoint's) are passed over.
   A file of a model with hooks says its version, sizes and hooks in its metadata; those that are not built-in
   or that differ by layer must be given. */
Model *model_load(TensorFile *f, const LoadOptions *options);
/* What a file says about hooks: the version, sizes and names as in "decay=floor gate=none"; NULL if it has none. The
   sizes are complete but for `hook`. */
const Version *model_hooked(TensorFile *f, Dims *d, const char **hooks);
/* The name of the hook in a slot according to such a list, in a static buffer; NULL: the version's own. If they
   differ by layer: of each layer, as in "v7,attention,v7". */
const char *hook_name_in(const char *hooks, HookSlot slot);
/* What such a list says of the hook in a slot; fails if that is longer. */
enum { HOOK_LIST = 8192 };
void hook_names(const Version *v, const Dims *d, HookSlot slot, char out[HOOK_LIST]);
void model_write(const Model *m, FileWriter *w); /* parameters under their names, config as metadata */

/* The sizes by the names that people give them: "layers", "dim", ...; ends with NULL. */
typedef struct {
  const char *name;
  size_t at; /* an offset into Dims */
} SizeName;
extern const SizeName model_size_names[];

/* ---- optimizers (checkpoint.c) ---- */

/* The official trainer's groups: learning-rate multiples, and weight decay on matrices called ".weight". */
Optim *model_optimizer(Model *m, const OptConfig *cfg);
/* The same in an optimizer of several things: its parameters first, first + 1, .., named with the prefix. */
void model_opt_add(Model *m, Optim *o, int first, const char *prefix);

#define CARRIED_PREFIX "carried." /* what a file holds besides, and is no part of the model, has names that begin so */
/* An optimizer in a file, of a model or not. With the prefix "optim.", which model_load passes over: tensors
   "optim.m.NAME" and "optim.v.NAME" of all that was ever trained; texts "optim.step", "optim.steps.NAME" where a
   parameter has moved less often, "optim.frozen.NAME", "optim.rate.GROUP" where it was set. */
enum { OPT_NAME = 320 }; /* the longest name of a parameter in there */
void opt_write(const Optim *o, const char *prefix, FileWriter *w);
/* Parameters are frozen as they were. Fails, changing nothing, if something is missing, or there for another one. */
void opt_restore(Optim *o, const char *prefix, TensorFile *f);
void opt_check(Optim *o, const char *prefix, TensorFile *f); /* fails if opt_restore would; takes the memory it needs */

/* ---- state (state.c, state_rows.c) ---- */

/* What a model remembers of the tokens so far: for each layer the tensors [B,..] of its version and of its hooks,
   then those of the whole. It refers to the hooks of its model. Those of v1-v3 and of some hooks grow with every
   token: they have room for the longest sequence, with zeros behind the others. After a recorded run it holds tensors
   of the tape, so that gradient flows through it into earlier runs of the same step; when the step ends it keeps the
   values. */
typedef struct {
  TapeWatcher watcher;
  Tape *tape;    /* attached to, or NULL */
  bool recorded; /* a recorded run began with it: the tape refers to `own` */
  int held;      /* hooks at work in runs that began with it: nobody else may change it */
  const Version *version;
  Dims d; /* of the model */
  int B, count;
  int64_t *seen; /* [B] tokens that each sequence has run through */
  Tensor **own, **now;
  Tensor **heir; /* where own[i] stands after a run that is not recorded; NULL before the first, or if it is copied */
  bool heirs;    /* they have been made */
} State;

State *state_new(const Model *m, int B); /* as before the first token */
/* The same, but what grows with the tokens has room for `history` of them. */
State *state_sized(const Version *v, const Dims *d, int B, int history);
State *state_copy(const State *s); /* values, without gradient */
/* Sequences first .. first + count - 1 of the batch; and several states of one model as one batch, in their order. What
   grows has room for the longest. Values, without gradient. */
State *state_rows(const State *s, int first, int count);
State *state_join(const State *const *list, int count);
void state_free(State *s);
void state_check(const State *s, const Model *m); /* fails unless it is a state of such a model */
void state_attach(State *s, Tape *tp);            /* what happens to it next belongs to the tape */
void state_detach(State *s);                      /* keeps the values, lets go of the tape */
/* Entry i, of the same shape: the tensor, to which gradient flows until the step of the tape ends; and its numbers
   alone. The tokens of a copy head are ids. */
void state_put(State *s, Tape *tp, int i, Tensor *t);
void state_set(State *s, Tape *tp, int i, const Tensor *t);
/* The tensor called "layer.name" ("0.att_kv"; of a hook "0.recurrence.S") or "name" ("hk"); fails with the names
   there are. */
int state_index(const State *s, const char *name);
const char *state_name(const State *s, int index); /* in a static buffer */

/* ---- running (run.c, stretch.c, gather.c) ---- */

/* Sequences as they are. What stands behind the end of one is padding, which nothing sees. Where a document starts
   inside a sequence, state and shift begin anew and no gradient passes; the state afterwards is that of the last. */
typedef struct {
  const int *tokens; /* [B,T], each 0..V-1, */
  Tensor *vectors;   /* or in their place what the embedding would give, [B,T,C]; not for models with a copy head */
  int B, T;
  const int *length;  /* [B], each 1..T; NULL: T */
  const bool *starts; /* [B,T] a document starts here; NULL: nowhere */
} Batch;
#define TOKENS(id, rows, positions) (&(Batch){.tokens = (id), .B = (rows), .T = (positions)})

static inline int batch_length(const Batch *b, int row) { return b->length ? b->length[row] : b->T; }
/* The last position of each sequence, of [B,T], in the tape's arena. */
int *model_last_positions(Tape *tp, const Batch *b);

/* st is read as the state before and left as the state after, of each sequence after its own end (as it was, if the run
   fails); T may be 1, and a sequence may be cut anywhere. Returns logits [B,T,V], zeros where a sequence has ended. */
Tensor *model_logits(Tape *tp, Model *m, const Batch *batch, State *st);

/* The same, with the logits of the last position of each sequence only: [B,1,V]. */
Tensor *model_logits_last(Tape *tp, Model *m, const Batch *batch, State *st);

/* The same run, up to the output of the last norm (layer 0), of which the head makes the logits, or to that of the
   block 1..L: [B,T,C]. */
Tensor *model_hidden(Tape *tp, Model *m, const Batch *batch, State *st, int layer);

typedef struct {
  int scored, correct; /* positions with a target >= 0, and where the largest logit is the target's */
} Score;

typedef struct {
  double l2wrap; /* 0 or 1e-4, see t_cross_entropy */
  int total;     /* the sum over scored positions is divided by it, instead of their number; 0: their number */
} LossOptions;

/* Mean cross-entropy over the positions whose target [B,T] is >= 0; logits are computed only there. options and score
   may be NULL. */
Tensor *model_loss(Tape *tp, Model *m, const Batch *batch, const int *targets, State *st, const LossOptions *options,
                   Score *score);

/* Of each position whose target is >= 0, in their order: the log-probability of the target, in nats, and whether the
   largest logit is the target's (the first one of equals). Returns how many there are; log_p and greedy have room for
   B T. Logits are computed only there. */
int model_log_likelihood(Tape *tp, Model *m, const Batch *batch, const int *targets, State *st, double *log_p,
                         bool *greedy);

/* The same as model_logits, showing every named intermediate to `trace` on the way. */
Tensor *model_trace(Tape *tp, Model *m, const Batch *batch, State *st, Trace *trace);

#endif

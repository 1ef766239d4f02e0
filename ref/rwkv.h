/* Aviary: every RWKV in plain C. The one public header: a table of contents.

   engine/err.h      rwkv_protect, rwkv_fail        every failure surfaces at one boundary
   engine/nearest.h  nearest_name                   what a misspelt word was meant to be
   engine/rng.h      rng_*                          random numbers that are functions of (seed, stream, n)
   engine/tensor.h   tensor_*                       numbers under a shape
   engine/packed.h   packed_write                   numbers in 16 bits, for weights that are only read
   engine/kernels.h  k_*                            the arithmetic, as plain loops, forward beside backward
   engine/tape.h     t_*, tape_*                    the same with shapes checked and gradients recorded
   engine/optim.h    opt_*                          AdamW
   dims.h            Dims, ShapeSpec, dims_*        sizes, and shapes in terms of them
   where.h           has_*                          which blocks have which parameters
   init.h            init_*                         initial values
   spec.h            ParamSpec, StateSpec           what a version lists
   pass.h            Pass, TRACE                    one run: what the blocks share
   hook.h            Hook, HOOK                     the slots in which a version can be changed
   variants.h        hook_find, hook_list           the built-in hooks
   version.h         Version                        what makes a version; one file each:
     v1.c ... v7.c     parameters, initial values, time mixing, channel mixing
     wkv1.c ... wkv7.c the recurrences (wkv2 serves v2 and v3, wkv6 serves v5 and v6)
     global.c mixes.c channel_mix.c   what versions share
   model/model.h     model_*, state_*               tokens -> logits, loss; files; state in and out
   model/golden.h    golden_verify                  a model against official numbers
   io/tensor_file.h  file_*                         files of tensors, read: safetensors, .pth, .npz, directories
   io/names.h        names_official                 what tensors of a model are called elsewhere
   io/writer.h       writer_*                       files of tensors, written
   io/compare.h      compare_*                      found numbers against those expected: how far off, and where
   text/tokenizer.h  tokenizer_*                    text as token ids, and back
   text/sampler.h    sampler_*                      the next token from logits
   engine/backend.h  backend_use                    who owns the numbers and runs the kernels: the reference,
   fast/fast.h       backend_fast                   or their fast twins

   A first program:

     Dims d = {.V = 256, .C = 64, .L = 2};
     Model *m = model_new(version_find("v7"), &d, 1);
     Tape *tp = tape_new();
     State *st = state_new(m, 1);
     Tensor *logits = model_logits(tp, m, TOKENS(tokens, 1, T), st);   // [1,T,256], st is now the state after
*/
#ifndef AVIARY_RWKV_H
#define AVIARY_RWKV_H

#include "engine/err.h"
#include "engine/backend.h"
#include "engine/optim.h"
#include "engine/rng.h"
#include "engine/tape.h"
#include "engine/tensor.h"
#include "fast/fast.h"
#include "io/writer.h"
#include "model/golden.h"
#include "model/model.h"
#include "text/sampler.h"
#include "text/tokenizer.h"
#include "variants.h"

#endif

-- aviary golden make VERSION [OPTIONS] OUT.safetensors    a pack of golden numbers: weights, tokens, logits, states, loss,
--   gradients and every intermediate, in float64
--   [--standard: heads of 64, 128 channels, 2 sequences of 32 tokens] [--layers 3] [--dim 24] [--heads 2] [--vocab 23] [--len 24]
--   [--batch 1] [--dim-ffn N] [--decay-rank N] [--iclr-rank N] [--value-rank N] [--gate-rank N] [--mix-rank N] [--ctx N] [--head-qk N]
--   [--seed 0] [--dtype f32|bf16|f16|f64: of the weights] [--weights FILE: these instead of random ones, --head-size N]
--   [--tokens FILE[:NAME]] [--trace WORD,..] [--no-trace] [--no-gradients] [--no-sensitivity] [--allow-weak] [--no-weights]
--   [--with-weights] [--no-unused: of RWKV-7 without the first layer's v0 v1 v2]
--   [--profile f32|bf16|fp16: also the numbers of this arithmetic]
--   [--port FILE: also the weights alone, as .pth, .safetensors, .npz or .gguf, --names official|fla|transformers|llama.cpp]
--   [--ids FILE.json|FILE.i32: also tokens and targets alone]
-- aviary golden make [VERSION] --weights FILE --no-sensitivity --no-gradients OUT    of a released model, in minutes
-- aviary golden diff PACK THEIRS ..    what another implementation gets wrong, and where first; THEIRS: safetensors, .pth, .npy,
--   .npz, .gguf, text with a number a line, several of them, a directory of .npy and .txt
--   [--profile f32|bf16|fp16: the arithmetic of theirs] [--tol 1e-5: one tolerance for all] [--rename THEIRS=OURS,.. or @FILE]
--   [--positions 0,7,last: those that theirs holds]
--   [--only WORD,..] [--skip WORD,..] [--no-causes] [--weights FILE: of a pack without them] [--tap FILE] [--junit FILE; - for
--   the standard output]
--   [--against f32|bf16|fp16|bf16-weights|fp16-weights: each line from their own numbers, in this arithmetic] [--seconds 60: for pairs
--   of mistakes]
--   status 0: all agree, 1: something is off, 2: could not be compared
-- Explained in: aviary help golden.md
local rwkv = require "rwkv"
local command = require "rwkv.command"
local nearest = require "rwkv.nearest"
local sorted = require "rwkv.sorted"

local kinds = { make = "rwkv.golden.make", diff = "rwkv.golden.diff" }

local kind = arg[1]
local known = kinds[kind] and package.searchpath(kinds[kind], package.path)

command.run(known and "golden " .. kind or "golden", function(arguments)
  if not known then
    error(("%susage: aviary golden make|diff ...; `aviary help golden` explains them"):format(
      kind and ("there is no '%s'%s "):format(kind, nearest.hint(kind, sorted(kinds))) or ""), 0)
  end
  if rwkv.matmul() ~= "full" then error(("packs are made and compared with products in full; leave --matmul %s out"):format(rwkv.matmul()), 0) end
  if rwkv.device() then error(("the CPU alone makes and compares packs; leave --backend %s out"):format(rwkv.backend()), 0) end
  rwkv.need_double()
  return require(kinds[kind]).command(table.move(arguments, 2, #arguments, 1, {}))
end, 2)

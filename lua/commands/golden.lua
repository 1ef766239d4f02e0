-- aviary golden make VERSION [OPTIONS] OUT.safetensors    a pack of golden numbers: weights, tokens, logits, states, loss,
--   gradients and every intermediate, in float64
--   [--layers 3] [--dim 24] [--heads 2] [--vocab 23] [--len 24] [--batch 1] [--seed 0] [--dtype f32|bf16|f16|f64: of the
--   weights] [--weights FILE: these instead of random ones, --head-size N] [--tokens FILE[:NAME]] [--trace WORD,..] [--no-trace]
--   [--no-gradients] [--no-sensitivity] [--allow-weak] [--no-weights] [--with-weights]
--   [--profile f32|bf16|fp16: also the numbers of this arithmetic]
-- aviary golden make [VERSION] --weights FILE --no-sensitivity --no-gradients OUT    of a released model, in minutes
-- aviary golden diff PACK THEIRS    what another implementation gets wrong, and where first; THEIRS: safetensors, .pth, .npy, .npz
--   [--profile f32|bf16|fp16: the arithmetic of theirs] [--tol 1e-5: one tolerance for all] [--rename THEIRS=OURS,..]
--   [--only WORD,..] [--skip WORD,..] [--no-causes] [--weights FILE: of a pack without them] [--tap FILE] [--junit FILE; - for
--   the standard output]
--   status 0: all agree, 1: something is off, 2: could not be compared
-- Explained in: aviary help golden.md
local rwkv = require "rwkv"
local visible = require "rwkv.visible"

local commands = { make = "rwkv.golden.make", diff = "rwkv.golden.diff" }
local name = arg[1]
local ok = commands[name] and package.searchpath(commands[name], package.path)
if not ok then
  io.stderr:write("usage: aviary golden make|diff ...; `aviary help golden` explains them\n")
  os.exit(2, true)
end
rwkv.need_double()
local status, result = xpcall(require(commands[name]).command, function(e)
  return type(e) == "string" and e or debug.traceback(tostring(e))
end, table.move(arg, 2, #arg, 1, {}))
if not status then
  io.stderr:write("golden ", name, ": ", visible.text(result), "\n")
  os.exit(2, true)
end
os.exit(result or 0, true)

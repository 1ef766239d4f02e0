-- aviary bench train     training steps on tokens laid out as in MQAR: tokens a second, and the part of the machine's sgemm rate
--   [--version v7] [--dim 128] [--layers 2] [--vocab 8192] [--pairs 8] [--seq 64] [--batch 256] [--steps 20]
--   [--warmup 3] [--seconds S: stop before the last step] [--threads N]
-- aviary bench decode|prefill     reading and writing text: tokens a second, and the part of the memory bandwidth
--   [--version v7] [--size 0.1b] [--dtype f32|bf16|f16] [--model FILE: this one, as it stands there] [--threads 1] [-n 64]
-- aviary bench ops       every operation: the reference beside the fast kernel [--threads N] [--tsv FILE]
-- aviary bench scaling   time and memory against the length of the text, beside softmax attention
--   [--versions "v4 v6 v7 attention"] [--modes "read train"] [--dim 64] [--from 256] [--to 65536]
--   [--piece 256] [--seconds 10] [--memory 8] [--tsv FILE]
-- aviary bench hook      what a hook in Lua costs in a training step
--   [--version v7] [--slot decay|recurrence] [--dim 128] [--head-size 64] [--seq 256] [--batch 16] [--steps 30]
-- aviary bench tokenize  text as token ids: bytes a second, in turn with what Python has
--   --vocab FILE --text FILE [--rounds 7] [--peer] [--python python3]
-- aviary bench all       the above at many sizes: `make bench` [--scale quick|full|smoke] [--threads N] [--out DIR]
-- aviary bench peers     training and decoding in turn with PyTorch and rwkv.cpp: `make bench-peers`
--   [--scale quick|full|smoke] [--versions "v4 v6 v7"] [--dims "64 128"] [--lengths "64 256"] [--threads N]
--   [--python PATH:PATH] [--check] [--out DIR]
-- What is counted, and how to read it: aviary help bench.md
local common = require "rwkv.bench.common"
local visible = require "rwkv.visible"

local names = { "train", "decode", "prefill", "ops", "scaling", "hook", "tokenize", "all", "peers" }
local name, known = arg[1], false
for _, n in ipairs(names) do known = known or n == name end
if not known then
  io.stderr:write(name and ("bench: there is no benchmark '%s'\n"):format(visible.line(name)) or "",
    "usage: aviary bench ", table.concat(names, "|"), " [options]; `aviary help bench` explains them\n")
  os.exit(1, true)
end
if not package.searchpath("rwkv.bench." .. name, package.path) then
  io.stderr:write(("bench %s: this program has no such benchmark\n"):format(name))
  os.exit(1, true)
end

local rest = table.move(arg, 2, #arg, 1, {})
local ok, message = xpcall(require("rwkv.bench." .. name), function(e)
  return getmetatable(e) == common.Failure and e or debug.traceback(tostring(e))
end, rest)
if not ok then
  io.stderr:write("bench ", name, ": ", visible.text(message), "\n")
  os.exit(1, true)
end

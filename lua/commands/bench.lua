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
-- aviary bench threads   our own threads in turn with those of OpenMP, on an idle and on a busy machine: `make bench-threads`
--   [--scale quick|full|smoke] [--programs "PTHREADS OPENMP"] [--threads N] [--out DIR]
-- aviary bench all       the above at many sizes: `make bench` [--scale quick|full|smoke] [--threads N] [--out DIR]
-- aviary bench peers     training in turn with PyTorch, decoding with rwkv.cpp and llama.cpp: `make bench-peers`
--   [--scale quick|full|smoke] [--versions "v4 v6 v7"] [--dims "64 128"] [--lengths "64 256"] [--threads N]
--   [--python PATH:PATH] [--check] [--out DIR]
-- aviary --backend cuda bench device     a GPU: training steps, recurrences, text, and PyTorch in turn
--   [--scale quick|full|smoke] [--parts "train recurrences text peers"] [--python PATH] [--out DIR]
-- While other programs take more than 5 % of the processors' time a row is measured again: [--tries 3] at most, of any benchmark.
-- What is counted, and how to read it: aviary help bench.md
local command = require "rwkv.command"
local nearest = require "rwkv.nearest"

local names = { "train", "decode", "prefill", "ops", "scaling", "hook", "tokenize", "threads", "all", "peers", "device" }

local name, known = arg[1], arg[1] == "device_error"
for _, n in ipairs(names) do known = known or n == name end

command.run(known and "bench " .. name or "bench", function(arguments)
  if not known then
    error(("%susage: aviary bench %s [options]; `aviary help bench` explains them"):format(
      name and ("there is no benchmark '%s'%s\n"):format(name, nearest.hint(name, names)) or "", table.concat(names, "|")), 0)
  end
  if not package.searchpath("rwkv.bench." .. name, package.path) then error("this program has no such benchmark", 0) end
  return require("rwkv.bench." .. name)(table.move(arguments, 2, #arguments, 1, {}))
end)

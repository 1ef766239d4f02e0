-- Memory while a model for inference reads a long text in pieces: it stays as it is.
--   aviary experiments/long_text.lua [--version v7] [--tokens 1000000] [--piece 1000] [--dtype bf16]
-- A line for every power of ten: tokens read, memory held, seconds. The last line: growth_kb=...
local rwkv = require "rwkv"

local o = rwkv.options(arg, { version = "v7", tokens = 1000000, piece = 1000, dtype = "bf16", layers = 2, dim = 64 })

local function resident() -- KB
  return tonumber(io.open "/proc/self/status":read "a":match "VmRSS:%s*(%d+)")
end

local model = rwkv.model { version = o.version, layers = o.layers, dim = o.dim, vocab = 256, seed = 1 }:pack(o.dtype)
local state, rng, piece = model:state(1), rwkv.rng(1), {}
for i = 1, o.piece do piece[i] = rng:integer(0, 255) end
piece = rwkv.tokens(piece)

local start, read, mark, first = rwkv.time(), 0, o.piece, nil
while read < o.tokens do
  rwkv.no_grad(function() model:forward(piece, state, { last = true }) end)
  read = read + o.piece
  if read >= mark or read >= o.tokens then
    collectgarbage()
    first = first or resident()
    print(("%9d tokens  %7d KB  %6.1f s"):format(read, resident(), rwkv.time() - start))
    mark = mark * 10
  end
end
print(("growth_kb=%d"):format(resident() - first))

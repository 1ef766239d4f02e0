-- What reads a sequence, alone: the recurrences of RWKV, softmax attention and Mamba's selective scan, of one width. Random inputs
-- in the range of those in trained models, so that no number becomes too small or too large.
--     local x = ops.inputs(1, 4096, 512, 64)         -- sequences, tokens, width, head size
--     local y = ops.run.v7(x)                        -- [1,4096,512]
local rwkv = require "rwkv"
local costs = require "experiments.measure.costs"

local ops = { names = { "v4", "v6", "v7", "attention", "mamba" }, passes = { "forward", "both" }, run = {} }

local scan_states, scan_width = 16, 2 -- numbers a channel, and channels for one of the model, as in Mamba's blocks
local repeated = 512                  -- so many tokens are drawn, and repeated from there on

-- The operands of all, as leaves with gradient. T: below `repeated`, or a multiple of it.
function ops.inputs(B, T, C, N)
  local rng, drawn = rwkv.rng(1), math.min(T, repeated)
  if T % drawn ~= 0 then error(("ops.inputs: %d tokens; expected at most %d, or a multiple of it"):format(T, repeated), 2) end
  local H, D = C // N, scan_width * C
  local function normal(width, f)
    local leaf = rwkv.no_grad(function()
      local z = rng:tensor("normal", 1, drawn, width)
      if f then z = f(z) end
      return z:expand(B * T // drawn, drawn, width):reshape(B, T, width)
    end)
    return leaf:requires_grad()
  end
  return { H = H,
    r = normal(C), k = normal(C), v = normal(C),
    w = normal(C, function(z) return -(z * 0.5 - 3):exp() end),          -- log-decays
    a = normal(C, function(z) return -z:l2norm(H) end),                  -- of a removal key
    b = normal(C, function(z) return z:l2norm(H) * 0.5 end),
    constant_w = rwkv.full(-0.05, C):requires_grad(), u = rwkv.full(0.3, C):requires_grad(),
    none = rwkv.zeros(B, C), lowest = rwkv.full(-1e38, B, C), S = rwkv.zeros(B, H, N, N),
    x = normal(D), delta = normal(D, function(z) return (z - 3):softplus() end),
    A = (-rwkv.arange(1, scan_states + 1)):reshape(1, scan_states):expand(D, scan_states):keep():requires_grad(),
    B = normal(scan_states), C = normal(scan_states), h = rwkv.zeros(B, D, scan_states) }
end

function ops.run.v4(x) return (rwkv.wkv4(x.constant_w, x.u, x.k, x.v, x.none, x.none, x.lowest)) end
function ops.run.v6(x) return (rwkv.wkv6(x.r, x.w, x.k, x.v, x.u, x.S)) end
function ops.run.v7(x) return (rwkv.wkv7(x.r, x.w, x.k, x.v, x.a, x.b, x.S)) end
function ops.run.attention(x) return (rwkv.attention(x.r, x.k, x.v, x.H)) end
function ops.run.mamba(x) return (rwkv.selective_scan(x.x, x.delta, x.A, x.B, x.C, x.h)) end

-- The operands of each that are as long as the sequence.
local operands = { v4 = { "k", "v" }, v6 = { "r", "w", "k", "v" }, v7 = { "r", "w", "k", "v", "a", "b" },
  attention = { "r", "k", "v" }, mamba = { "x", "delta", "B", "C" } }

local pass_of = {}
function pass_of.forward(run, x) return rwkv.no_grad(function() return run(x):slice(2, -1, -1) end) end
function pass_of.both(run, x)
  local sum = run(x):sum()
  sum:backward()
  return sum
end

-- Seconds of a pass over x: "forward" as in reading, or "both" ways as in training, from the sum of all that comes out.
function ops.seconds(name, pass, x)
  return costs.seconds(function() return pass_of[pass](ops.run[name], x) end)
end

-- Numbers that a pass holds at once for each token and channel of the width, inputs and their gradients included. From T tokens and
-- twice as many, so that what does not grow is not in it; few enough to fit costs.numbers.
function ops.numbers(name, pass, C, N, T)
  local function count(tokens)
    local x, copies = ops.inputs(1, tokens, C, N), {}
    for key, value in pairs(x) do
      if pass == "forward" and key ~= "H" then value:requires_grad(false) end -- nothing is kept for the way back
      copies[key] = value
    end
    return costs.numbers(function()
      for _, operand in ipairs(operands[name]) do copies[operand] = x[operand]:clone() end
      local y = ops.run[name](copies)
      if pass == "both" then y:sum():backward() end
    end)
  end
  return (count(2 * T) - count(T)) / T / C
end

return ops

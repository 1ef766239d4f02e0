-- Mistakes in RWKV-1. What an entry is: init.lua.
local core = require "rwkv.core"

local list = {}
local function edited(id, title, edits)
  list[#list + 1] = { id = id, title = title, of = "^v1$", family = "formula", edits = edits }
end
local function weighed(id, title, weight)
  list[#list + 1] = { id = id, title = title, of = "^v1$", family = "formula", weight = weight }
end

-- ---- learned weights of positions ----

weighed("time-w-reversed", "time_w read from the front: distance 0 is its last entry", function(name, of)
  if not name:find "time_w$" then return nil end
  local w, columns = of(name), {}
  local n = w:size(2)
  for i = 1, n do columns[i] = w:slice(2, n + 1 - i, n + 1 - i) end
  return core.concat(columns, 2)
end)
local function ones(pattern)
  return function(name, of) return name:find(pattern) and of(name) * 0 + 1 or nil end
end
weighed("no-gamma", "time_gamma is missing", ones "time_gamma$")
weighed("no-time-out", "time_out is missing", ones "time_out$")
weighed("alpha-beta-swapped", "time_alpha and time_beta are exchanged: alpha is of the earlier token", function(name, of)
  local other = name:find "time_alpha$" and name:gsub("alpha", "beta") or name:find "time_beta$" and name:gsub("beta", "alpha")
  return other and of(other):reshape(of(name):shape()) or nil
end)

-- ---- token shift ----

local exchanged = { around = function(f, m, c, x, prev) return f(m, c, prev, x) end }
edited("shift-halves", "the halves of the token shift are exchanged: the first half of the channels is the token's own",
  { ["att.z"] = exchanged, ["ffn.z"] = exchanged })

-- ---- time mixing: a sum over the keys and values so far ----

-- The learned weights of the tokens up to t for token t, [1,t,A].
local function weights_of(c, t, w, alpha, beta)
  local by_head = w:slice(2, c.ctx - t + 1, c.ctx) * alpha:reshape(-1, c.ctx):slice(2, 1, t) * beta:reshape(-1, c.ctx):slice(2, t, t)
  local channels = by_head:transpose(1, 2):reshape(t, -1, 1) + core.zeros(1, 1, c.head_size)
  return channels:reshape(1, t, -1)
end

edited("denominator-weighted", "the denominator is weighted with time_w, alpha and beta too; it is the sum of the keys alone",
  { ["att.y"] = { around = function(f, m, c, k, v, w, alpha, beta)
    local rows, y = {}, f(m, c, k, v, w, alpha, beta) -- whose denominator is another one
    for t = 1, k:size(2) do
      local until_t = k:slice(2, 1, t)
      rows[t] = y:slice(2, t, t) * until_t:sum(2, true) / (until_t * weights_of(c, t, w, alpha, beta)):sum(2, true)
    end
    return m.f(#rows == 1 and rows[1] or core.concat(rows, 2))
  end } })
edited("no-clamp", "keys are not cut off at -60 and 30",
  { ["att.k"] = { f = function(m, _, x, w, b) return m.f(m.linear_bias(x, w, b):exp()) end } })
edited("receptance-linear", "the receptance without its sigmoid",
  { ["att.r"] = { f = function(m, _, x, w, b) return m.linear_bias(x, w, b) end } })
edited("gamma-before-bias", "time_gamma multiplies before the output's bias is added instead of after",
  { ["att.out"] = { f = function(m, c, r, y, w, b, gamma)
    return m.linear_bias(m.mul(m.mul(r, y), gamma:slice(1, 1, c.T)), w, b)
  end } })

return list

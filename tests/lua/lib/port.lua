-- An implementation of RWKV-1 to 7 that shares nothing with the project: lists of numbers and loops, one version a file (port/).
-- It can be told to make mistakes; what each is called: lua/rwkv/golden/mistakes.
--   port(weights, version, tokens, mistakes, format) -> { name = { numbers, shape = {..} } } under the names of a pack, without
--   "trace.": logits, what layers compute on the way, states after each token
-- weights[name] = { flat list of numbers, shape = {..} }; tokens [B,T]; mistakes: nil, an id or a list of ids; format: what it
-- computes in, "f64" (without it), "f32", "bf16", "fp16".
local block = require "tests.lua.lib.port.block"
local handing_over = require "tests.lua.lib.port.handing_over"
local numbers = require "tests.lua.lib.port.numbers"
local planted = require "tests.lua.lib.port.planted"
local weights_of = require "tests.lua.lib.port.weights"

local map = numbers.map
local v1, v2, v5, v6 = require "tests.lua.lib.port.v1", require "tests.lua.lib.port.v2", require "tests.lua.lib.port.v5",
  require "tests.lua.lib.port.v6"

local time_mix = { v1 = v1.time_mix, v2 = v2, v3 = v2, v4 = require "tests.lua.lib.port.v4", ["v5.0"] = v5.time_mix,
  ["v5.1"] = v5.time_mix, ["v5.2"] = v5.time_mix, v6 = v6, v6a = v6, v6b = v6, v7 = require "tests.lua.lib.port.v7" }
local channel_mix = { v1 = v1.channel_mix }

-- A tensor that has a number or a row of them for each head.
local by_heads = { v1 = "attn.time_w", ["v5.0"] = "att.time_first", v7 = "att.r_k" }

local function sizes(p)
  p.C = #p.weight(p.last_norm .. ".weight")
  local heads = p.weight(by_heads[p.version] or "att.time_faaaa", 0)
  p.H = heads and heads.shape[1] or 1
  p.N = p.C // p.H
  p.first = p.wrong "first-layer-missing" and 1 or 0
  local interleaved = p.wrong "heads-interleaved"
  function p.channel(h, n) return interleaved and (n - 1) * p.H + h + 1 or h * p.N + n end -- h from 0, n from 1
end

-- What is written: each sequence is put behind those before it.
local function recorder(p, B)
  local out = {}
  function p.record(name, rows, ...)
    local from = p.wrong "begins-with-token-0" and 1 or 0
    local shape = select("#", ...) > 0 and { B, #rows - from, ... } or { B, #rows - from, #rows[1] }
    local e = out[name] or { shape = shape }
    for t = from + 1, #rows do table.move(rows[t], 1, #rows[t], #e + 1, e) end
    out[name] = e
  end
  function p.record_once(name, x, ...) -- the same at all positions
    out[name] = table.move(x, 1, #x, 1, { shape = ... and { ... } or { #x }, once = true })
  end
  function p.record_tokens(prefix, tokens)
    for name in pairs(tokens[#tokens]) do
      if name ~= "prev" then
        p.record(prefix .. name, map(#tokens, function(t) return tokens[t][name] end))
      end
    end
  end
  return out
end

-- ---- around the layers ----

local function embedded(p, sequence)
  local num, E = p.num, p.weight "emb.weight"
  local x = map(#sequence, function(t) return table.move(E, sequence[t] * p.C + 1, (sequence[t] + 1) * p.C, 1, {}) end)
  p.record("emb.x", x)
  if p.version == "v1" or p.version == "v2" then return x end
  local times = p.wrong "ln0-missing" and 0 or p.wrong "ln0-twice" and 2 or 1
  for t = 1, #x do
    for _ = 1, times do x[t] = block.layer_norm(p, x[t], "ln0", 0) end
    x[t] = num.each(function(y) return y end, x[t])
  end
  p.record("blocks.0.ln0.x", x)
  return x
end

-- v1 to v3: for every earlier token how much this one asks for it
local function copies(p, sequence, ys, logits)
  local num, wrong = p.num, p.wrong
  local function projected(name)
    return map(#ys, function(t) return num.linear(p.weight(name .. ".weight"), ys[t], p.weight(name .. ".bias")) end)
  end
  local q, k = projected "head_q", projected "head_k"
  p.record("head.q", q)
  p.record("head.k", k)
  local by = wrong "copy-head-256" and 256 or wrong "copy-head-sqrt" and math.sqrt(#q[1]) or #q[1]
  for t = 1, #ys do
    local row = table.move(logits[t], 1, #logits[t], 1, {})
    for u = 1, t do
      local score = num.sum(#q[t], function(j) return num.round(q[t][j] * k[u][j]) end)
      local id = sequence[u] + 1
      row[id] = num.round(row[id] + num.round(score / by))
    end
    logits[t] = row
  end
end

local function head(p, sequence, streams)
  local num, wrong, time_out = p.num, p.wrong, p.weight "time_out"
  local ys = map(#streams, function(t) return block.layer_norm(p, streams[t], p.last_norm) end)
  p.record("ln_out.y", ys)
  local logits = map(#ys, function(t)
    local y = ys[t]
    if time_out and not wrong "no-time-out" then y = num.times(time_out[t], y) end
    return num.linear(p.weight "head.weight", y)
  end)
  if p.weight "head_q.weight" then
    p.record("head.logits", logits)
    if not wrong "no-copy-head" then copies(p, sequence, ys, logits) end
  end
  p.record("logits", map(#logits, function(t) return wrong.rounded("logits", logits[t]) end))
end

-- ---- a run ----

-- What a layer knows when a sequence begins: nothing.
local function carried(p, state)
  if p.wrong "state-of-sequence-before" then return state end
  local sums = p.wrong "sums-of-sequence-before" and { S = state.S, a = state.a, b = state.b, sums = state.sums } or {}
  if p.wrong "shift-of-sequence-before" then sums.att, sums.ffn = state.att, state.ffn end
  return sums
end

local function run(p, sequence, states)
  if p.wrong "begins-with-token-0" then sequence = table.move(sequence, 1, #sequence, 2, { 0 }) end
  local streams = embedded(p, sequence)
  p.values = map(#sequence, function() return {} end)
  for layer = p.first, p.wrong "last-layer-missing" and p.layers - 2 or p.layers - 1 do
    states[layer] = carried(p, states[layer] or {})
    streams = block.run(p, layer, streams, states[layer], time_mix[p.version], channel_mix[p.version] or block.channel_mix)
  end
  head(p, sequence, streams)
end

return function(weights, version, tokens, mistakes, format)
  local p = { version = version, last_norm = version == "v1" and "ln_f" or "ln_out", wrong = planted(mistakes),
    num = numbers(format or "f64") }
  p.weight, p.layers = weights_of(weights, version, p.wrong, format or "f64")
  sizes(p)
  local out, states = recorder(p, #tokens), {}
  for _, sequence in ipairs(tokens) do run(p, sequence, states) end
  return handing_over(out, p.wrong)
end

-- What kind of difference there is: each kind planted in tensors of several shapes, and none in numbers that have nothing to do
-- with each other.
local rwkv = require "rwkv"
if rwkv.precision ~= "float64" then return end -- as test_golden.lua
local check = require "tests.lua.lib.check"
local pattern = require "rwkv.golden.compare".pattern
local test, equal = check.test, check.equal

local rng = rwkv.rng(7)
local tol = { worst = 1e-6, rms = 3e-7 }
local B, T, H, N = 2, 6, 3, 4
local C = H * N

-- A pack of the sizes with tensors by name: { value =, shape = }.
local function pack(tensors, b, t)
  local p = { tokens = {}, tensors = {}, names = {}, config = { version = "v7", dim = C, head_size = N, vocab = 11, layers = 2 } }
  for i = 1, b or B do
    p.tokens[i] = {}
    for k = 1, t or T do p.tokens[i][k] = 0 end
  end
  for name, e in pairs(tensors) do p.tensors[name], p.names[#p.names + 1] = e, name end
  table.sort(p.names)
  return p
end

local function entry(list, shape, dtype) return { value = rwkv.tensor(list), shape = shape, dtype = dtype or "f64" } end -- flat, as if of 5 axes

local function numbers(n, scale)
  local list = {}
  for i = 1, n do list[i] = rng:normal() * (scale or 0.5) end
  return list
end

local function size(shape)
  local n = 1
  for _, s in ipairs(shape) do n = n * s end
  return n
end

-- theirs[i] = f(i from 0, ours as a function of a place from 0), and a little noise
local function planted(a, n, f, noise)
  local b = {}
  local function ours(i) return a[i + 1] end
  for i = 0, n - 1 do b[i + 1] = f(i, ours) + (noise or 1e-9) * rng:normal() end
  return b
end

local shapes = { -- those that a name can have
  ["trace.blocks.0.att.x"] = { B, T, C }, ["trace.blocks.1.att.kappa"] = { B, T, C }, logits = { B, T, 11 },
  ["trace.state.0.att_kv"] = { B, T, H, N, N }, ["state.1.att_kv"] = { B, H, N, N }, ["grad.blocks.0.att.key.weight"] = { C, C },
  ["grad.blocks.0.att.w1"] = { C, 5 }, ["grad.blocks.0.att.w0"] = { C },
}

-- In each of the names, or all: f(i, ours, shape) is a number of theirs; what the finding must be.
local function finds(title, kind, f, options)
  options = options or {}
  test(title, function()
    for _, name in ipairs(options.names or { "logits", "trace.blocks.0.att.x", "state.1.att_kv", "grad.blocks.0.att.w1" }) do
      local shape = shapes[name]
      local n = size(shape)
      local a = numbers(n, options.scale)
      local p = pack(options.tensors and options.tensors(shape) or {})
      local b = planted(a, n, function(i, ours) return f(i, ours, shape, p) end, options.noise)
      p.tensors[name], p.names[#p.names + 1] = entry(a, shape), name
      local r = pattern(p, name, p.tensors[name], entry(b, options.shape and options.shape(shape) or shape, options.dtype), tol)
      if r.kind ~= kind then error(("%s: found %s (%s, %s), expected %s"):format(name, r.kind, r.phrase, r.place, kind)) end
      assert(r.kind == "not finite" or r.rms * 3 <= r.before, r.rms)
      for _, part in ipairs(options.says or {}) do assert(r.phrase:find(part, 1, true), name .. ": " .. r.phrase) end
      for key, value in pairs(options.has or {}) do equal(r[key], value, 1e-6) end
    end
  end)
end

-- ---- layout ----

local matrices = { "grad.blocks.0.att.key.weight", "grad.blocks.0.att.w1", "state.1.att_kv", "trace.state.0.att_kv" }
local function last_two(i, ours, s)
  local m, n = s[#s - 1], s[#s]
  return ours(i // (m * n) * m * n + i % m * n + i // m % n)
end
finds("transposed", "transposed", last_two, { names = matrices, says = { "the last two axes" } })
finds("transposed, and its shape says so", "transposed", last_two, { names = { "grad.blocks.0.att.w1", "logits" },
  shape = function(s) return #s == 2 and { s[2], s[1] } or { s[1], s[3], s[2] } end })
finds("time-major", "transposed", function(i, ours, s)
  local row = size(s) // (B * T)
  return ours((i // row % B * T + i // row // B) * row + i % row)
end, { names = { "logits", "trace.blocks.0.att.x", "trace.state.0.att_kv" }, says = { "time-major" } })
finds("heads interleaved", "transposed", function(i, ours) return ours(i // C * C + i % H * N + i % C // H) end,
  { names = { "trace.blocks.0.att.x", "grad.blocks.0.att.w0", "trace.blocks.1.att.kappa" }, says = { "heads interleaved: [N,H] for [H,N]" } })
finds("heads interleaved the other way", "transposed", function(i, ours) return ours(i // C * C + i % N * H + i % C // N) end,
  { names = { "trace.blocks.0.att.x" }, says = { "heads interleaved: channels" } })

-- ---- orders ----

finds("channels in reverse", "reversed", function(i, ours) return ours(i // C * C + C - 1 - i % C) end,
  { names = { "trace.blocks.0.att.x", "grad.blocks.0.att.w0" }, says = { "channels in reverse" } })
for _, late in ipairs { 1, 2, -1 } do
  for _, edge in ipairs { "zeros", "rolled", "other" } do
    finds(("positions %d late, %s"):format(late, edge), "shifted", function(i, ours, s)
      local row = size(s) // (B * T)
      local t = i // row % T - late
      if t >= 0 and t < T then return ours(i - late * row) end
      return edge == "zeros" and 0 or edge == "other" and 0.3 * (i % 7) or ours(i // (T * row) * T * row + t % T * row + i % row)
    end, { names = { "logits", "trace.blocks.0.att.x", "trace.state.0.att_kv" }, noise = 0, has = { axis = "position", by = late, edge = edge } })
  end
end
finds("sequences exchanged", "reordered", function(i, ours, s) return ours((i + size(s) // 2) % size(s)) end,
  { names = { "logits", "state.1.att_kv" }, says = { "sequences in another order: they are our 1 0" }, has = { axis = "sequence" } })
finds("one sequence for all", "reordered", function(i, ours, s) return ours(i % (size(s) // 2)) end,
  { names = { "logits", "state.1.att_kv" }, says = { "every sequence is our sequence 0" } })
finds("heads in another order", "shifted", function(i, ours) return ours(i // C * C + (i % C + N) % C) end,
  { names = { "trace.blocks.0.att.x" }, has = { axis = "head", by = -1 } })
finds("two heads exchanged", "reordered", function(i, ours)
  local h = i // (N * N) % H
  return ours(i + (h == 0 and 1 or h == 1 and -1 or 0) * N * N)
end, { names = { "state.1.att_kv" }, says = { "heads in another order: they are our 1 0 2" } })
finds("one head is zeros", "reordered", function(i, ours) return i // (N * N) % H == 1 and 0 or ours(i) end,
  { names = { "state.1.att_kv" }, noise = 0, says = { "heads 1 are zeros" } })
finds("channels in no order that has a name", "reordered", function(i, ours) return ours(i // 11 * 11 + i % 11 * 4 % 11) end,
  { names = { "logits" }, says = { "0 4 8 1 5 9 2 6 10 3 7" } })

-- ---- values ----

for says, c in pairs { ["= 2"] = 2, ["= 1/2"] = 0.5, ["= -1"] = -1, ["= 1/sqrt(N)"] = N ^ -0.5, ["= ln 2"] = math.log(2),
  ["= T/(T-1)"] = T / (T - 1), ["= 1/(B T)"] = 1 / (B * T), ["times 1.37"] = 1.37 } do
  if not (says == "= 1/sqrt(N)" or says == "= 1/(B T)") then
    finds("scaled " .. says, "scaled", function(i, ours) return c * ours(i) end, { says = { says }, has = { constant = c } })
  end
end
test("constants by their names", function()
  local familiar, p = require "rwkv.golden.familiar", pack {}
  p.config.dim, p.config.head_size, p.config.layers = 192, 64, 5
  for name, x in pairs { ["8"] = 8, ["N"] = 64, ["1/N"] = 1 / 64, ["1/(B T)"] = 1 / (B * T), ["-1"] = -1, ["-2"] = -2,
    ["(N-1)/N"] = 63 / 64, ["sqrt(C)"] = 192 ^ 0.5, ["H"] = 3, ["-1/layers"] = -1 / 5 } do
    equal(familiar(p, x), name == "8" and "sqrt(N)" or name)
  end
  assert(not familiar(p, 1) and not familiar(p, 1.37) and not familiar(p, 0) and not familiar(p, 0 / 0))
end)
finds("offset", "offset", function(i, ours) return ours(i) + 0.25 end, { has = { constant = 0.25 } })
finds("exp", "exp", function(i, ours) return math.exp(ours(i)) end)
finds("sigmoid", "sigmoid", function(i, ours) return 1 / (1 + math.exp(-ours(i))) end)
finds("square", "square", function(i, ours) return ours(i) ^ 2 end)
finds("softmax and its logarithm", "softmax", function(i, ours)
  local sum = 0
  for j = 0, 10 do sum = sum + math.exp(ours(i // 11 * 11 + j)) end
  return math.exp(ours(i)) / sum
end, { names = { "logits" } })
finds("log-softmax", "log_softmax", function(i, ours)
  local sum = 0
  for j = 0, 10 do sum = sum + math.exp(ours(i // 11 * 11 + j)) end
  return ours(i) - math.log(sum)
end, { names = { "logits" } })
finds("clamped", "clamped", function(i, ours) return math.max(-0.4, math.min(0.5, ours(i))) end, { noise = 0, has = { low = -0.4, high = 0.5 } })
finds("clamped to fp16", "clamped", function(i, ours) return math.min(65504, ours(i)) end,
  { noise = 0, scale = 9e4, says = { "fp16's largest" } })
finds("zeros", "zeros", function() return 0 end, { noise = 0 })
finds("NaN", "not finite", function(i, ours) return i == 3 and 0 / 0 or ours(i) end, { has = { strange = 1 } })
finds("fp16 overflow", "not finite", function(i, ours) return math.abs(ours(i)) > 65504 and math.huge or ours(i) end,
  { scale = 9e4, says = { "fp16 ends at 65504" } })

test("rounded to bf16 and fp16, in a file of float32", function()
  for format, grid in pairs { bf16 = "bf16", f16 = "f16" } do
    local a = entry(numbers(B * T * C), { B, T, C })
    local p = pack { ["trace.blocks.0.att.x"] = a }
    local b = rwkv.no_grad(function() return a.value:round(format):reshape(-1):tolist() end)
    local r = pattern(p, "trace.blocks.0.att.x", a, entry(b, { B, T, C }, "f32"), tol)
    equal({ r.kind, r.format, r.grid }, { "rounded", grid, grid })
  end
end)

-- ---- other tensors ----

local function with(name) return function(shape) return { [name] = entry(numbers(size(shape)), shape) } end end
local function of(name) return function(i, _, _, p)
  p.list = p.list or p.tensors[name].value:reshape(-1):tolist()
  return p.list[i + 1]
end end
local v = "trace.blocks.0.att.v"
finds("another tensor of the pack", "another", of(v), { names = { "trace.blocks.0.att.x" }, tensors = with(v), has = { other = v } })
finds("with another tensor added", "sum", function(i, ours, s, p) return ours(i) + of(v)(i, ours, s, p) end,
  { names = { "trace.blocks.0.att.x" }, tensors = with(v), has = { other = v, share = 1 }, says = { "ours plus blocks.0.att.v" } })
finds("without another tensor", "sum", function(i, ours, s, p) return ours(i) - of(v)(i, ours, s, p) end,
  { names = { "trace.blocks.0.att.x" }, tensors = with(v), has = { other = v, share = -1 }, says = { "ours less blocks.0.att.v" } })

-- ---- where ----

local function place(name, f)
  local shape = shapes[name]
  local n = size(shape)
  local a = numbers(n)
  local b = planted(a, n, function(i, ours) return ours(i) + (f(i) and 1 + rng:uniform() or 0) end)
  return pattern(pack {}, name, entry(a, shape), entry(b, shape), tol)
end

test("where it is", function()
  local x, state = "trace.blocks.0.att.x", "state.1.att_kv"
  equal(place(x, function() return true end).place, "everywhere")
  equal(place(x, function(i) return i // C % T >= 3 end).place, "from position 3 on")
  equal(place(x, function(i) return i // C % T == 0 end).place, "position 0 only")
  equal(place(x, function(i) return i // (C * T) == 1 end).place, "sequence 1 only")
  equal(place(x, function(i) return i % C // N == 1 end).place, "head 1 only")
  equal(place(x, function(i) return i % N == 2 end).place, "channel 2 only")
  equal(place(x, function(i) return i // C % T % 2 == 1 end).place, "every position at 1, and each 2 after it")
  equal(place(x, function(i) return i // C % T == 1 or i // C % T == 4 end).place, "positions 1, 4")
  equal(place(state, function(i) return i // (N * N) % H == 2 and i % N == 0 end).place, "head 2 only; column 0 only")
  equal(place("logits", function(i) return i % 11 > 2 and i % 11 < 6 end).place, "indices 3 to 5")
  local r = place(x, function(i) return i // C % T >= 3 end)
  equal(r.where[2].off, { 3, 5 })
  assert(r.kind == nil and r.where[2].axis == "position")
end)

test("numbers that have nothing to do with each other", function()
  for _, loose in ipairs { tol, { worst = 0.05, rms = 0.02 } } do
    for _ = 1, 20 do
      for name, shape in pairs(shapes) do
        local n = size(shape)
        local p = pack { [v] = entry(numbers(n), shape) }
        local r = pattern(p, name, entry(numbers(n), shape), entry(numbers(n), shape), loose)
        if r.kind then error(("%s: %s"):format(name, r.phrase)) end
      end
    end
  end
end)

test("one position of each sequence, one sequence alone", function()
  local shape, a = shapes.logits, numbers(B * T * 11)
  local p, last, second = pack {}, {}, { table.unpack(a, T * 11 + 1) }
  for b = 1, B do table.move(a, (b * T - 1) * 11 + 1, b * T * 11, #last + 1, last) end
  local r = pattern(p, "logits", entry(a, shape), entry(last, { B, 11 }), tol)
  equal({ r.kind, r.phrase, r.position }, { "part", "position 5 of each sequence alone", T - 1 })
  equal(pattern(p, "logits", entry(a, shape), entry(second, { T, 11 }), tol).phrase, "sequence 1 alone")
  assert(pattern(p, "logits", entry(a, shape), entry(numbers(T * 11), { T, 11 }), tol) == nil)
end)

test("a loss is anything times something: only a constant with a name is one", function()
  local p, ours = pack {}, entry({ 2.5 }, {})
  equal(pattern(p, "loss", ours, entry({ 2.5 * T / (T - 1) }, {}), tol).familiar, "T/(T-1)")
  equal(pattern(p, "loss", ours, entry({ 2.5 / math.log(2) }, {}), tol).familiar, "1/ln 2")
  assert(pattern(p, "loss", ours, entry({ 2.71 }, {}), tol).kind == nil)
end)

test("noise above the tolerance has no pattern, and other sizes none either", function()
  for name, shape in pairs(shapes) do
    local n = size(shape)
    local a = numbers(n)
    local r = pattern(pack {}, name, entry(a, shape), entry(planted(a, n, function(i, ours) return ours(i) end, 1e-5), shape), tol)
    assert(r.kind == nil, r.phrase)
  end
  assert(pattern(pack {}, "logits", entry(numbers(6), { 6 }), entry(numbers(5), { 5 }), tol) == nil)
end)

test("a million numbers take well below a second", function()
  local p, big = pack({}, 4, 250), { 4, 250, 1000 }
  local a, b = rng:tensor("normal", big), rng:tensor("normal", big)
  local began = os.clock()
  local r = pattern(p, "logits", { value = a, shape = big }, { value = b, shape = big, dtype = "f64" }, tol)
  assert(not r.kind and os.clock() - began < 3, os.clock() - began)
  print(("  %.2f s"):format(os.clock() - began))
end)

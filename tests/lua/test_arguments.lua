-- What arguments may be: ranges, names of fields and methods, how many there are; what a message says of them.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local test, fails, equal = check.test, check.fails, check.equal

local zeros, full = rwkv.zeros, rwkv.full

-- Zeros of a shape, but for one number at a place counted from 1.
local function with(x, place, ...)
  local shape, at = { ... }, 1
  for axis, i in ipairs(place) do
    local step = 1
    for later = axis + 1, #shape do step = step * shape[later] end
    at = at + (i - 1) * step
  end
  local list = {}
  for i = 1, zeros(...):size() do list[i] = i == at and x or 0 end
  return rwkv.tensor(list):reshape(...)
end

local btc, nan, infinite = zeros(2, 20, 4), 0 / 0, 1 / 0
local S = zeros(2, 2, 2, 2)
local x = rwkv.tensor { { 1, 2 }, { 3, 4 } }
local ones = rwkv.ones(2)

-- ---- ranges ----

local ranges = { -- name = { what is called with the wrong value, message }
  wkv7 = { function(w) rwkv.wkv7(btc, w, btc, btc, btc, btc, S) end, "w" },
  wkv6 = { function(w) rwkv.wkv6(btc, w, btc, btc, zeros(4), S) end, "w" },
  wkv4 = { function(w) rwkv.wkv4(w, zeros(4), btc, btc, zeros(2, 4), zeros(2, 4), full(-1e38, 2, 4)) end, "w" },
}

test("log-decays are at most 0", function()
  for name, case in pairs(ranges) do
    local place = { 2, 17, 3 }
    fails(function() case[1](with(0.5, place, 2, 20, 4)) end, "test_arguments.lua", name .. ": w is 0.5 at [2,17,3], "
      .. "expected a log-decay, at most 0")
    fails(function() case[1](with(nan, place, 2, 20, 4)) end, name .. ": w is nan at [2,17,3]")
    fails(function() case[1](with(infinite, place, 2, 20, 4)) end, name .. ": w is inf at [2,17,3]")
    case[1](with(-0.5, place, 2, 20, 4))
    case[1](with(-0.0, place, 2, 20, 4))
    case[1](with(-infinite, place, 2, 20, 4))
    if name ~= "wkv7" then fails(function() case[1](with(2, { 3 }, 4)) end, name .. ": w is 2 at [3]") end
  end
  local two = with(0.5, { 1, 1, 1 }, 2, 20, 4) + with(0.75, { 2, 20, 4 }, 2, 20, 4) -- the worst one is named
  fails(function() ranges.wkv7[1](two) end, "w is 0.75 at [2,20,4]")
  local long = with(0.5, { 3, 400, 3 }, 3, 500, 4) -- far behind the first part
  fails(function() rwkv.wkv6(long, long, long, long, zeros(4), zeros(3, 2, 2, 2)) end, "w is 0.5 at [3,400,3]")
end)

test("a decay of a hook has the same range", function()
  local h = rwkv.hook { kind = "decay", name = "grows", apply = function(_, _, d) return with(0.5, { 3 }, d.A) end }
  local m = rwkv.model { version = "v7", layers = 2, dim = 8, head_size = 4, vocab = 9, hooks = { decay = h } }
  fails(function() m:forward { 1 } end, "layer 1: returned 0.5 at [3], expected at most 0")
end)

local B, C, A = zeros(1, 3, 2), zeros(1, 3, 2), with(-1, { 1, 1 }, 2, 2)
local d, h = zeros(1, 3, 2), zeros(1, 2, 2)
local none = zeros(1, 2)

local wrong = { -- { call, message }
  { function() rwkv.selective_scan(d, d, with(0.25, { 2, 1 }, 2, 2), B, C, h) end, "selective_scan: A is 0.25 at [2,1], expected at most 0" },
  { function() rwkv.selective_scan(d, with(-3, { 1, 2, 1 }, 1, 3, 2), A, B, C, h) end, "selective_scan: delta is -3 at [1,2,1], expected at least 0" },
  { function() rwkv.wkv2(with(1, { 2 }, 2), zeros(2), d, d, none, none) end, "wkv2: w is 1 at [2], expected a log-decay" },
  { function() rwkv.wkv2(zeros(2), zeros(2), with(-1, { 1, 3, 1 }, 1, 3, 2), d, none, none) end, "wkv2: e is -1 at [1,3,1], expected at least 0" },
  { function() rwkv.wkv2(zeros(2), zeros(2), d, d, none, none, 0) end, "wkv2: eps: expected a number above 0, found 0" },
  { function() (x - 2):log() end, "log: x is -1 at [1,1], expected at least 0" },
  { function() (x - 2):sqrt() end, "sqrt: x is -1 at [1,1], expected at least 0" },
  { function() (x - 2):rsqrt() end, "rsqrt: ", "is -1 at [1,1], expected at least 0" },
  { function() return (x - 2) ^ 0.5 end, "is -1 at [1,1], expected at least 0" },
  { function() (x - 2):pow(1.5) end, "pow: x is -1 at [1,1], expected at least 0" },
  { function() x:pow(nan) end, "pow: the exponent is nan" },
  { function() rwkv.tensor(-1):log() end, "log: x is -1, expected at least 0" },
  { function() rwkv.where(x, 1, 0) end, "where: the mask is 4 at [2,2], expected 0 or 1" },
  { function() rwkv.where(with(0.5, { 2 }, 2), 1, 0) end, "where: the mask is 0.5 at [2], expected 0 or 1" },
  { function() rwkv.where(with(nan, { 2 }, 2), 1, 0) end, "where: the mask is nan at [2], expected 0 or 1" },
  { function() x:masked_fill(x, 0) end, "the mask is 4 at [2,2], expected 0 or 1" },
  { function() x:layer_norm(ones, ones, 0) end, "layer_norm: eps: expected a number above 0, found 0" },
  { function() x:layer_norm(ones, ones, nan) end, "layer_norm: eps: expected a number above 0, found nan" },
  { function() x:group_norm(1, ones, ones, -1) end, "group_norm: eps: expected a number above 0, found -1" },
  { function() x:l2norm(1, 0) end, "l2norm: eps: expected a number above 0, found 0" },
  { function() x:reshape(1, 2, 2):cross_entropy { { 0, 2 } } end, "cross_entropy: targets: 2 at sequence 1, position 2, expected 0 to 1" },
  { function() x:reshape(1, 2, 2):cross_entropy({ { 0, 1 } }, -1) end, "l2wrap: expected a number at least 0, found -1" },
  { function() x:embed { { 0, 1 }, { 1, 2 } } end, "embed: tokens: 2 at sequence 2, position 2, expected 0 to 1" },
  { function() x:gather { { 0 }, { 2 } } end, "gather: index 2 at row 2, place 1, expected 0 to 1" },
  { function() x:var(1, false, 1) end, "var: unbiased is 1, expected true or false" },
  { function() rwkv.ones(1):var() end, "var: of 1 numbers, expected at least 2 (or unbiased = false)" },
  { function() rwkv.ones(2, 1):std(2) end, "std: of 1 numbers, expected at least 2" },
  { function() zeros(0, 3):mean() end, "mean: there are no numbers in [0,3]" },
  { function() zeros(0, 3):mean(1) end, "mean: there are no numbers in [0,3]" },
  { function() x:tril(0.5) end, "tril: the diagonal is 0.5, expected a whole number" },
  { function() rwkv.concat({ x, zeros(2, 3) }, 1) end, "concat: [2,2] and [2,3] differ outside axis 1" },
  { function() zeros(2, 0):max(2) end, "max: axis 2 of [2,0] is empty" },
  { function() x:permute(1, 1) end, "permute: axis 1 of [2,2] is named twice" },
  { function() rwkv.zeros({ 2 }, 3) end, "sizes are numbers or one list" },
  { function() rwkv.rng():uniform(2, 1) end, "uniform: nothing lies from 2 to 1" },
  { function() rwkv.rng():normal(0, -1) end, "normal: the deviation: expected a number at least 0, found -1" },
  { function() rwkv.rng():normal(nan) end, "normal: the mean is nan" },
}

test("an argument that is out of its range is named, with the worst number and its place", function()
  for i, case in ipairs(wrong) do
    local ok, message = pcall(case[1])
    if ok then error(("wrong[%d] was taken, expected '%s'"):format(i, case[2])) end
    for j = 2, #case do
      if not message:find(case[j], 1, true) then error(("wrong[%d]: '%s', expected '%s'"):format(i, message, case[j])) end
    end
    if not message:find("test_arguments.lua:", 1, true) then error("no place: " .. message) end
  end
end)

local function model(hooks)
  return rwkv.model { version = "v7", layers = 1, dim = 8, head_size = 4, vocab = 9, hooks = hooks }
end

test("options of loss have ranges", function()
  local m, ids = model(), { 1, 2 }
  local function refused(option, value, ...)
    fails(function() m:loss(ids, ids, { [option] = value }) end, "test_arguments.lua", ...)
  end
  refused("l2wrap", -1, "loss: l2wrap: expected a number at least 0, found -1")
  refused("l2wrap", nan, "loss: l2wrap: expected a number at least 0, found nan")
  refused("l2wrap", infinite, "loss: l2wrap: expected a number at least 0, found inf")
  refused("l2wrap", {}, "l2wrap: expected a number, found a table")
  refused("total", 0, "loss: total: expected a whole number from 1", "found 0")
  refused("total", -1, "loss: total: expected a whole number from 1", "found -1")
  refused("total", 1.5, "found 1.5")
  equal(m:loss(ids, ids, { l2wrap = 0, total = 2 }):item(), m:loss(ids, ids):item())
end)

test("numbers of a hook's parameters and states have ranges", function()
  local function refused(params, state, ...)
    local hook = rwkv.hook { kind = "decay", name = "wrong", params = params, state = state, apply = function() end }
    fails(function() model { decay = hook } end, "test_arguments.lua", 'hook decay "wrong": w: ', ...)
  end
  local cases = {
    lr = { [-1] = "-1, expected a finite number, at least 0", [infinite] = "inf", [{}] = "a table" },
    gain = { [-1] = "-1, expected a finite number, at least 0", [infinite] = "inf", [print] = "a function" },
    init = { [infinite] = "inf, expected a finite number", [-infinite] = "-inf" },
  }
  for option, bad in pairs(cases) do
    for value, message in pairs(bad) do refused({ w = { 4, 4, [option] = value } }, nil, ("%s is %s"):format(option, message)) end
    refused({ w = { 4, 4, [option] = nan } }, nil, option .. " is nan, expected a finite number")
  end
  for _, value in ipairs { nan, infinite, -infinite } do refused(nil, { w = { 4, start = value } }, "start is ") end
  local fine = rwkv.hook { kind = "decay", name = "fine", apply = function(y, p) return -(y + p.a + p.b):square() end,
    params = { a = { 8, init = -1.5, lr = 0 }, b = { 8, init = "normal", gain = 0 } }, state = { s = { 4, start = -1e38 } } }
  local m = model { decay = fine }
  equal(m:param "blocks.0.att.decay.fine.a":tolist()[1], -1.5)
  equal(m:param "blocks.0.att.decay.fine.b":abs():sum():item(), 0)
end)

test("the ends of a range belong to it", function()
  assert(zeros(1):log():item() == -infinite)
  equal(zeros(1):sqrt():item(), 0)
  equal((zeros(1) ^ 1.5):item(), 0)
  equal(rwkv.ones(1):var(nil, nil, false):item(), 0)
  assert(full(nan, 1):log():item() ~= 0 and full(nan, 1):sqrt():item() ~= 0) -- NaN stays NaN
  rwkv.selective_scan(d, d, A, B, C, h)
  rwkv.wkv2(zeros(2), zeros(2), d, d, none, none)
  equal(rwkv.rng():uniform(2, 2), 2)
  equal(rwkv.rng():normal(3, 0), 3)
end)

-- ---- how many ----

test("an argument too many is an error", function()
  fails(function() x:sum(1, true, 3) end, "test_arguments.lua", "x:sum(axis, keep) was given 3 arguments")
  fails(function() x:exp(1) end, "x:exp() was given 1 argument")
  fails(function() x:var(1, true, false, 2) end, "test_arguments.lua", "x:var(axis, keep, unbiased) was given 4 arguments")
  fails(function() rwkv.where(x:gt(1), 1, 0, 2) end, "rwkv.where(mask, a, b) was given 4 arguments")
  fails(function() rwkv.stack({ x }, 1, 2) end, "rwkv.stack(list, axis) was given 3 arguments")
  fails(function() rwkv.rng():uniform(0, 1, 2) end, "rng:uniform(low, high) was given 3 arguments")
  equal(x:sum(nil, nil, nil):item(), 10)
end)

test("an argument too many for models, states, optimizers and tokens", function()
  local m, ids, path = model(), { 1, 2 }, "runs/tests/too-many.safetensors"
  local s, opt, tokens = m:state(), rwkv.adamw(m), rwkv.tokens(ids)
  local design = { version = "v7", layers = 1, dim = 8, head_size = 4, vocab = 9 }
  local definition = { kind = "decay", name = "counted", apply = function() end }
  local calls = { -- [what the message begins with] = the call
    ["rwkv.model(design) was given 2"] = function() rwkv.model(design, 3) end,
    ["rwkv.describe(design) was given 2"] = function() rwkv.describe(design, 3) end,
    ["rwkv.load(path, options) was given 3"] = function() rwkv.load(path, {}, 3) end,
    ["rwkv.info(path, options) was given 3"] = function() rwkv.info(path, {}, 3) end,
    ["rwkv.hook(definition) was given 2"] = function() rwkv.hook(definition, 1) end,
    ["rwkv.adamw(what, options) was given 3"] = function() rwkv.adamw(m, {}, 3) end,
    ["rwkv.save_session(path, table) was given 3"] = function() rwkv.save_session(path, {}, 1) end,
    ["rwkv.restore_session(path, table) was given 3"] = function() rwkv.restore_session(path, {}, 1) end,
    ["rwkv.tokens(list) was given 2"] = function() rwkv.tokens(ids, 1) end,
    ["model:forward(tokens, state, options) was given 4"] = function() m:forward(ids, s, {}, 1) end,
    ["model:loss(tokens, targets, options) was given 4"] = function() m:loss(ids, ids, {}, 3) end,
    ["model:log_likelihood(tokens, targets, options) was given 4"] = function() m:log_likelihood(ids, ids, {}, 3) end,
    ["model:trace(tokens) was given 2"] = function() m:trace(ids, s) end,
    ["model:generate(prompt, options) was given 3"] = function() m:generate(ids, {}, 3) end,
    ["model:embed(texts, options) was given 3"] = function() m:embed({}, {}, 3) end,
    ["model:check_cuts(tokens, tolerance) was given 3"] = function() m:check_cuts(ids, 1, 1) end,
    ["model:assign(weights) was given 2"] = function() m:assign({}, 1) end,
    ["model:param(name) was given 2"] = function() m:param("emb.weight", 1) end,
    ["model:parameters() was given 1"] = function() m:parameters(1) end,
    ["model:param_count(with_unused) was given 2"] = function() m:param_count(true, 1) end,
    ["model:config() was given 1"] = function() m:config(1) end,
    ["model:zero_grad() was given 1"] = function() m:zero_grad(1) end,
    ["model:save(path, options) was given 3"] = function() m:save(path, {}, 3) end,
    ["model:pack(dtype) was given 2"] = function() m:pack("bf16", 1) end,
    ["model:state(batch) was given 2"] = function() m:state(1, 2) end,
    ["model:load_state(path) was given 2"] = function() m:load_state(path, 1) end,
    ["state:get(name) was given 2"] = function() s:get("0.att_kv", 1) end,
    ["state:set(name, tensor) was given 3"] = function() s:set("0.att_kv", s:get "0.att_kv", 5) end,
    ["state:copy() was given 1"] = function() s:copy(1) end,
    ["state:detach() was given 1"] = function() s:detach(1) end,
    ["state:batch() was given 1"] = function() s:batch(1) end,
    ["state:names() was given 1"] = function() s:names(1) end,
    ["state:seen(sequence) was given 2"] = function() s:seen(1, 1) end,
    ["state:config() was given 1"] = function() s:config(1) end,
    ["state:rows(first, last) was given 3"] = function() s:rows(1, 1, 1) end,
    ["state:save(path, options) was given 3"] = function() s:save(path, {}, 1) end,
    ["optimizer:step() was given 1"] = function() opt:step(5) end,
    ["optimizer:zero_grad() was given 1"] = function() opt:zero_grad(1) end,
    ["optimizer:rate(x, group) was given 3"] = function() opt:rate(1, 0, 1) end,
    ["optimizer:groups() was given 1"] = function() opt:groups(1) end,
    ["optimizer:steps() was given 1"] = function() opt:steps(1) end,
    ["optimizer:save(path) was given 2"] = function() opt:save(path, 1) end,
    ["optimizer:restore(path) was given 2"] = function() opt:restore(path, 1) end,
    ["tokens:tolist() was given 1"] = function() tokens:tolist(1) end,
    ["tokens:rows(first, last) was given 3"] = function() tokens:rows(1, 1, 1) end,
  }
  for message, call in pairs(calls) do fails(call, "test_arguments.lua:", message .. " argument") end
  equal((pcall(rwkv.read_file, path)), false) -- nothing was written
  fails(function() m:param_count "x" end, "boolean expected")
  equal(m:param_count(nil, nil), m:param_count(false))
  rwkv.hook(definition) -- its name is not taken
end)

-- ---- names ----

test("a method that there is not", function()
  local m = model()
  local opt, state = rwkv.adamw(m, {}), m:state()
  local calls = {
    { function() return x.T end, "tensor: there is no 'T', did you mean x:transpose()?" },
    { function() return x.smu end, "tensor: there is no 'smu', did you mean x:sum(axis, keep)?" },
    { function() return x:sofmax() end, "tensor: there is no 'sofmax', did you mean x:softmax(axis)?" },
    { function() return x.cabbage end, "tensor: there is no 'cabbage'" },
    { function() return m.emb end, "model: there is no 'emb'; a parameter is model:param(name)" },
    { function() return m.forwrad end, "model: there is no 'forwrad', did you mean model:forward(tokens, state, options)?" },
    { function() return state.gett end, "state: there is no 'gett', did you mean state:get(name)?" },
    { function() return opt.stepp end, "optimizer: there is no 'stepp', did you mean optimizer:step()?" },
    { function() return rwkv.rng().unifrom end, "rng: there is no 'unifrom', did you mean rng:uniform(low, high)?" },
    { function() return rwkv.tokens { 1 }.to_list end, "tokens: there is no 'to_list', did you mean tokens:tolist()?" },
    { function() return rwkv.sampler {}.pikc end, "sampler: there is no 'pikc', did you mean sampler:pick(logits, row)?" },
    { function() x.foo = 1 end, "x.foo = ...: a tensor has no fields" },
    { function() m.foo = 1 end, "model: there is no 'foo' that could be assigned" },
    { function() state.foo = 1 end, "state: there is no 'foo' that could be assigned" },
    { function() opt.lr = 1 end, "optimizer: there is no 'lr' that could be assigned" },
  }
  for _, case in ipairs(calls) do fails(case[1], "test_arguments.lua", case[2]) end
  equal(rwkv.Tensor.cabbage, nil) -- a table may be asked
end)

test("rows of a tensor, as ipairs and pairs see them", function()
  for _, each in ipairs { ipairs, pairs } do
    local sums = {}
    for i, row in each(x) do sums[i] = row:sum():item() end
    equal(sums, { 3, 7 })
  end
  for _ in ipairs(zeros(0, 3)) do error "a row" end
  for _ in pairs(zeros(0, 3)) do error "a row" end
  local list = table.pack(table.unpack(x))
  equal(list.n, 2)
  fails(function() return x[3] end, "x[3]: [2,2] has rows 1 to 2")
  fails(function() for _ in ipairs(rwkv.tensor(1)) do error "a row" end end, "no rows")
  fails(function() for _ in pairs(rwkv.tensor(1)) do error "a row" end end, "no rows")
  local y = x * 1
  rwkv.end_step()
  local _ = x + 1
  fails(function() for _ in ipairs(y) do error "a row" end end, "a step that is over")
end)

-- ---- places ----

test("a message has the script's line, and no path of the library", function()
  local m = model()
  local nothing = rwkv.hook { kind = "decay", name = "nothing", apply = function() end }
  local calls = {
    function() m:generate { 300 } end, function() m:embed { 300 } end, function() m:trace { 300 } end,
    function() m:forward { 300 } end, function() m:check_cuts { { 300 } } end, function() m:load_state "/nothing" end,
    function() m:assign {} end, function() m:assign { x = 1 } end, function() rwkv.load "/nothing" end,
    function() rwkv.info "/nothing" end, function() rwkv.model {} end, function() rwkv.model { version = "v8" } end,
    function() rwkv.model { version = "v7", layers = 1, dim = 8, vocab = 0 } end, function() rwkv.describe { version = 7 } end,
    function() rwkv.model { version = "v7", layers = 1, dim = 8, vocab = 9, head_size = 4, hooks = { deccay = nothing } } end,
    function() rwkv.model { version = "v7", layers = 1, dim = 8, vocab = 9, head_size = 4, hooks = { decay = nothing } }:forward { 1 } end,
    function() rwkv.stack({ x, rwkv.ones(3) }, 1) end, function() rwkv.zeros_like(1) end, function() x:std(7) end,
    function() x:masked_fill(x, 1) end, function() x:split(1, {}) end, function() x:rsqrt(1) end, function() (x - 9):rsqrt() end,
    function() rwkv.randn(-5) end, function() rwkv.rand("x") end, function() rwkv.seed "x" end,
    function() rwkv.plot(5) end, function() rwkv.plot({}, { file = 5 }) end, function() rwkv.hook {} end,
    function() rwkv.tokenizer "/nothing" end, function() rwkv.save_tensors("x.safetensors", { 5 }) end,
    function() rwkv.load_tensors "/nothing" end, function() rwkv.convert("/nothing", "x.npz") end,
    function() rwkv.adamw(m, { lrr = 1 }) end, function() rwkv.sampler { top = 1 } end, function() rwkv.experiment.run {} end,
    function() rwkv.learn {} end, function() rwkv.curves(5) end, function() rwkv.best(5) end, function() rwkv.gradcheck(5) end,
    function() rwkv.gradcheck(print, 1) end, function() rwkv.gradcheck(print, x, { setp = 1 }) end,
    function() rwkv.gradcheck(print, x, { directions = 0 }) end,
  }
  local bad = {}
  for i, call in ipairs(calls) do
    local ok, message = pcall(call)
    message = ok and "was taken" or tostring(message)
    if ok or message:find "rwkv/[%w_/]+%.lua" or message:find "%.c:%d" then bad[#bad + 1] = ("calls[%d]: %s"):format(i, message) end
  end
  if #bad > 0 then error("a path of ours:\n" .. table.concat(bad, "\n")) end
end)

-- ---- fields, lists ----

-- Each call is refused with the message; `m`, `two` (a state of two sequences) and rwkv are there.
local function refused(calls)
  local m = model()
  local with_two = { m = m, two = m:state(2), v1 = rwkv.model { version = "v1", layers = 1, dim = 8, vocab = 9, ctx = 16 },
    rwkv = rwkv, print = print }
  for _, case in ipairs(calls) do
    local call = assert(load(case[1], "@script.lua", "t", with_two))
    local ok, message = pcall(call)
    if ok or message ~= "script.lua:1: " .. case[2] then
      error(("%s: '%s', expected '%s'"):format(case[1], ok and "was taken" or tostring(message), case[2]))
    end
  end
end

test("a field that is of another type is named", function()
  refused {
    { "m:forward({ 1 }, nil, { last = 1 })", "forward: last is a number, expected a boolean" },
    { "m:forward({ 1 }, nil, { into = 3 })", "forward: into is a number, expected a tensor" },
    { "m:forward({ 1 }, nil, { into = m })", "forward: into is a model, expected a tensor" },
    { "m:forward({ 1 }, nil, { hidden = 0 })", "forward: hidden (true or a layer): expected a whole number from 1 to 1, found 0" },
    { "m:forward({ 1 }, nil, m)", "forward: options are a table, not a model" },
    { "m:forward(print)", "tokens: expected a list of numbers or a list of lists, found a function" },
    { "m:loss({ 1 }, { 2 }, { state = 3 })", "loss: state is a number, expected a state" },
    { "rwkv.model { version = 'v7', layers = 1, dim = 8, vocab = 9, init = 3 }",
      "rwkv.model: init is a number, expected 'official' or 'uniform'" },
    { "rwkv.model { version = 'v7', layers = 1, dim = 8, vocab = 9, init = 'unifrom' }",
      "rwkv.model: there is no init 'unifrom', did you mean 'uniform'? there are: official, uniform" },
    { "rwkv.adamw(m, { decay_all = 1 })", "adamw: decay_all is a number, expected a boolean" },
    { "rwkv.adamw(m, { lr = m })", "lr: expected a number, found a model" },
    { "rwkv.adamw(m, { groups = { { match = '.', freeze = 1 } } })", "rwkv.adamw: group 1: freeze is a number, expected a boolean" },
    { "rwkv.adamw(m, { warmup = 10, total = 5 })", "adamw: warmup is 10, expected at most total, which is 5" },
    { "m:save('x', { optimizer = 3 })", "save: optimizer is a number, expected an optimizer" },
    { "m:save('x', { carried = 3 })", "save: carried is a number, expected a list" },
    { "m:save('x', { carried = { 3 } })", "save: carried: entry 1 is a number, expected { name =, value = }" },
    { "m:save('x', { carried = { { name = 'x', value = 3 } } })", "save: carried: entry 1: value is a number, expected a tensor" },
    { "m:save('x', { carried = { { name = m, value = rwkv.ones(1) } } })", "save: carried: entry 1: name is a model, expected a string" },
    { "m:save('x', { meta = 3 })", "save: meta is a number, expected a table of texts" },
    { "two:save('x', { meta = 'x' })", "save: meta is a string, expected a table of texts" },
    { "two:save('x', { meta = { a = {} } })", "save: meta holds texts under names, found a table under a string" },
    { "m:load_state()", "bad argument #1 to 'load_state' (string expected, got nil)" },
    { "rwkv.load()", "load: expected the path of a file, found a nil" },
    { "rwkv.info(m)", "info: expected the path of a file, found a userdata" },
    { "two:rows(2, 1)", "rows: from 2 to 1: the last sequence comes before the first" },
    { "m:param 'emb.weigt'", 'param: this v7 model has no parameter "emb.weigt", did you mean "emb.weight"?' },
    { "m:weight_bytes 'qqq'", 'weight_bytes: this v7 model has no parameter "qqq"' },
  }
  for _, e in ipairs { { { 2, shared = 1 }, "shared is a number, expected a boolean" },
    { { 2, init = x }, "init is a tensor, expected a number, a name or a function" } } do
    local hook = rwkv.hook { kind = "decay", name = "odd", params = { w = e[1] }, apply = print }
    fails(function() rwkv.describe { version = "v7", layers = 1, dim = 8, vocab = 9, hooks = { decay = hook } } end, "parameter w: " .. e[2])
  end
end)

test("a list has entries and nothing else", function()
  local beside = "expected a list, found the key 'a' beside its %d entries"
  local three = "{ { 1, 2, 3 }, { 1, 2, 3 } }"
  refused {
    { "m:forward { 1, 2, a = 3 }", "tokens: " .. beside:format(2) },
    { "rwkv.tokens { { 1, 2 }, { 1 }, a = 2 }", "tokens: " .. beside:format(2) },
    { "rwkv.tokens { { 1, 2 }, { 1, 2, a = 2 } }", "tokens: " .. beside:format(2) },
    { "m:forward(" .. three .. ", nil, { lengths = { 3, 3, a = 1 } })", "lengths: " .. beside:format(2) },
    { "m:forward(" .. three .. ", nil, { starts = { { 2, 3, a = 1 }, { 2 } } })", "starts: sequence 1: " .. beside:format(2) },
    { "m:forward(" .. three .. ", nil, { starts = { { 2 }, { 2 }, a = 1 } })", "starts: " .. beside:format(2) },
    { "m:forward(" .. three .. ", nil, { starts = { { 2 }, { 2, 2 } } })", "starts: sequence 2: 2 comes after 2, expected positions that rise" },
    { "m:forward({ 1, 2, 3 }, nil, { starts = { 3, 2 } })", "starts: sequence 1: 2 comes after 3, expected positions that rise" },
    { "rwkv.adamw(m, { betas = { .9, .99, a = 1 } })", "betas: " .. beside:format(2) },
    { "rwkv.adamw(m, { betas = { .9, .99, .999 } })", "betas: expected a list of two numbers" },
    { "m:state { 1, 2, a = 3 }", "state: tokens seen: " .. beside:format(2) },
    { "v1:state { 3, 17 }", "state: sequence 2 has seen 17 tokens, expected at most ctx, which is 16" },
    { "rwkv.tensor { 1, 2, a = 3 }", "tensor: " .. beside:format(2) },
    { "rwkv.tensor { { 1, 2 }, { 3, 4 }, a = 3 }", "tensor: " .. beside:format(2) },
    { "rwkv.zeros { 1, 2, a = 3 }", "sizes of a shape: " .. beside:format(2) },
    { "rwkv.concat({ rwkv.ones(1), rwkv.ones(1), a = 3 }, 1)", "concat: " .. beside:format(2) },
    { "m:generate { 1, 2, a = 3 }", "generate: the prompt: " .. beside:format(2) },
    { "m:generate({ 1 }, { stop_ids = { 1, 2, a = 3 } })", "generate: stop_ids: " .. beside:format(2) },
  }
  rwkv.adamw(model(), { warmup = 5, total = 5 })
  local list = {} -- Lua has it in another order
  for i = 9, 1, -1 do list[i] = i end
  equal(rwkv.tensor(list):tolist(), { 1, 2, 3, 4, 5, 6, 7, 8, 9 })
  equal(rwkv.tokens(list):tolist(), { { 1, 2, 3, 4, 5, 6, 7, 8, 9 } })
  list.a = 1
  fails(function() rwkv.tensor(list) end, "tensor: " .. beside:format(9))
end)

test("what is written in Lua looks at its arguments", function()
  refused {
    { "m:check_cuts { { 1, 2, 3 }, { 4, 5, 6 } }", "check_cuts: expected the tokens of one sequence, found 2 sequences" },
    { "m:check_cuts { 1, 9 }", "check_cuts: token 2 is 9, expected 0 to 8" },
    { "m:check_cuts(m)", "check_cuts: expected the tokens of one sequence: expected a list of numbers or a list of lists, found a model" },
    { "m:check_cuts({ 1, 2 }, 'x')", "check_cuts: the tolerance is x, expected a number from 0" },
    { "m:check_cuts({ 1, 2 }, -1)", "check_cuts: the tolerance is -1, expected a number from 0" },
    { "m:check_cuts({ 1, 2 }, 0 / 0)", "check_cuts: the tolerance is nan, expected a number from 0" },
    { "m:trace { { 1 }, { 2 } }", "trace: expected the tokens of one sequence, found 2 sequences" },
    { "m:trace { 1, 9 }", "trace: token 2 is 9, expected 0 to 8" },
    { "m.trace(5)", "trace is called as model:trace(..), found a number before it" },
    { "m:generate()", "generate: expected a prompt, text or a list of ids, found nothing" },
    { "m:generate({ 1 }, { tokenizer = {} })", "generate: tokenizer: this table has no method 'size'" },
    { "m:generate({ 1 }, { tokenizer = m })", "generate: tokenizer is a model, expected a tokenizer" },
    { "m:generate({ 1 }, { state = { 3 } })", "generate: state: entry 1 is a number, expected a state" },
    { "m:generate({ 1 }, { stop_ids = { 8, 9 } })", "generate: stop_ids: entry 2 is 9, expected an id from 0 to 8" },
    { "m:generate({ 1 }, { stop_ids = { -1 } })", "generate: stop_ids: entry 1 is -1, expected an id from 0 to 8" },
    { "rwkv.mixers.attention:state_size()", "state_size: expected a table of sizes { C =, A =, H =, N =, .. }, found a nil" },
    { "rwkv.mixers.attention:state_size { A = 'x' }", "state_size: A is x, expected a whole number from 1" },
    { "rwkv.mixers.attention:state_size { H = 2 }", 'state_size: hook time_mix "attention": there is no A among the sizes' },
    { "rwkv.mixers.attention:state_size({ A = 8 }, -3)", "state_size: tokens: expected a whole number from 0, found -3" },
  }
  local m, tokens = model(), rwkv.tokens { 1, 2, 3 }
  equal(m:trace(tokens).logits:tolist(), m:trace { 1, 2, 3 }.logits:tolist())
  assert(m:check_cuts(tokens) < 1e-4)
  equal(rwkv.mixers.attention:state_size({ A = 8 }, 3), 49)
end)

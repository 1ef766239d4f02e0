-- Scripts that are wrong or hostile: errors are welcome, crashes and freed memory are not (run under `make asan`).
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local test, equal, fails = check.test, check.equal, check.fails

local function collect()
  collectgarbage()
  collectgarbage()
end

-- Ends the step and fills the memory of the old one with something else.
local function overwrite()
  rwkv.end_step()
  for k = 1, 50 do local _ = rwkv.full(1e30, 7) * k end
end

local function v4() return rwkv.model { version = "v4", layers = 1, dim = 8, vocab = 5 } end

local function v1(ctx)
  return rwkv.model { version = "v1", layers = 1, dim = 8, vocab = 5, ctx = ctx, head_size = 4, head_qk = 4 }
end

local function temporary(text)
  local path = os.tmpname()
  local f = io.open(path, "wb")
  f:write(text or "")
  f:close()
  return path
end

test("finalizers that end steps in the middle of anything", function()
  local going, wrong = true, 0
  local function bomb()
    setmetatable({}, { __gc = function()
      overwrite()
      pcall(coroutine.wrap(function() rwkv.zeros(-2) end))
      if going then bomb() end
    end })
  end
  local s, m = nil, v4()
  collectgarbage("incremental", 10, 1000)
  bomb()
  for i = 1, 400 do
    pcall(function()
      local x = rwkv.ones(50) * 2
      for _, n in ipairs(x:tolist()) do wrong = wrong + (n == 2 and 0 or 1) end
      for _, n in ipairs(x:keep():tolist()) do wrong = wrong + (n == 2 and 0 or 1) end
      if x:argmax()[1] ~= 0 or not tostring(x):find "^tensor" then wrong = wrong + 1 end
    end)
    if i % 20 == 0 then
      pcall(function()
        local loss, _, after = m:loss({ 1, 2, 3 }, { 2, 3, 4 }, { state = s })
        s = after
        loss:backward()
        s:get "0.att_aa"
      end)
    end
    pcall(rwkv.concat, { rwkv.ones(1), rwkv.ones(2, 2) }, 1)
  end
  going = false
  collectgarbage("incremental", 200, 100)
  collect()
  equal(wrong, 0)
end)
test("backward, steps and ends inside no_grad", function()
  local x = rwkv.ones(4):requires_grad()
  local y = x * 3
  local loss = (y * y):sum()
  fails(function() rwkv.no_grad(function() loss:backward() end) end, "no_grad")
  local _ = rwkv.full(7, 4) * 1
  equal(y:grad(), nil)
  loss:backward()
  equal(x:grad():tolist(), { 18, 18, 18, 18 })
  local m = v4()
  local o = rwkv.adamw(m, {})
  rwkv.no_grad(function()
    local before = rwkv.ones(2) * 2
    rwkv.end_step()
    o:step()
    equal((before + 1):tolist(), { 3, 3 })
    fails(function() m:loss({ 1 }, { 2 }):backward() end)
  end)
  fails(function() return y + 1 end, "step that is over")
  local inner
  rwkv.no_grad(function() inner = rwkv.ones(2):requires_grad() * 2 end)
  fails(function() return inner + 1 end, "step that is over")
  fails(function() return inner:sum():backward() end, "step that is over")
end)
test("no_grad: depth, errors, many results, coroutines", function()
  local function deep(n)
    if n == 0 then return rwkv.ones(2) * 2 end
    return rwkv.no_grad(deep, n - 1)
  end
  equal(deep(50):tolist(), { 2, 2 })
  fails(function() deep(150) end)
  fails(function() deep(10000) end)
  local function faulty(n)
    return rwkv.no_grad(function()
      pcall(faulty, n - 1)
      local t = rwkv.ones(3) * n
      if n > 0 then error { t } end
      error()
    end)
  end
  fails(function() faulty(20) end)
  fails(function() rwkv.no_grad(function() local function f() return 1 + f() end return f() end) end, "overflow")
  fails(function() rwkv.no_grad() end)
  fails(function() rwkv.no_grad(7) end)
  local many = {}
  for i = 1, 100000 do many[i] = i end
  many[7] = rwkv.ones(1)
  equal(select("#", rwkv.no_grad(function() return table.unpack(many) end)), 100000)
  local ok, message = coroutine.resume(coroutine.create(function() rwkv.no_grad(coroutine.yield) end))
  assert(not ok and message:find "yield", message)
  local held
  local co = coroutine.wrap(function()
    held = rwkv.ones(2) * 2
    coroutine.yield()
    return (pcall(held.item, held))
  end)
  rwkv.no_grad(co)
  equal(co(), false)
  local x = rwkv.ones(2):requires_grad() -- all is as it was
  ;(x * 3):sum():backward()
  equal(x:grad():tolist(), { 3, 3 })
end)
test("requires_grad switched between the run and backward", function()
  local x = rwkv.ones(1):requires_grad()
  local view = x:reshape(1)
  x:requires_grad(false)
  fails(function() view:backward() end, "gradient")
  local g = rwkv.rng(1)
  local function t(...) return g:tensor("normal", ...) end
  for _, backend in ipairs { "reference", rwkv.backend() } do
    for mask = 1, 127 do
      local a = { t(2, 17, 4), -t(2, 17, 4):abs():keep(), t(2, 17, 4), t(2, 17, 4), t(2, 17, 4), t(2, 17, 4), t(2, 2, 2, 2) }
      a[2] = a[2]:keep()
      for i = 1, 7 do
        if mask >> (i - 1) & 1 == 1 then a[i]:requires_grad() end
      end
      local y, s = rwkv.wkv7(table.unpack(a))
      local loss = (mask % 2 == 0 and y or s):sum()
      for i = 1, 7 do
        if (mask + i) % 3 == 0 then a[i]:requires_grad(false) end
      end
      rwkv.backend(backend)
      pcall(loss.backward, loss)
      rwkv.end_step()
    end
  end
end)
test("a failed run leaves the state whole", function()
  local m = v1(4)
  local s = m:state(1)
  m:forward({ 1, 2 }, s)
  local before = s:get "0.att_xx":tolist()
  fails(function() rwkv.no_grad(function() m:forward({ 1, 2, 3 }, s) end) end, "ctx_len")
  overwrite()
  equal(s:get "0.att_xx":tolist(), before)
  fails(function() m:forward({ 1, 2, 3 }, s) end, "ctx_len")
  overwrite()
  equal(s:get "0.att_xx":tolist(), before)
  m:forward({ 1, 2 }, s)
  fails(function() m:forward({ 1 }, s) end, "ctx_len")
  local t = m:state(1)
  m:forward({ 1, 2 }, t)
  for _, bad in ipairs { 0 / 0, 1e30, -1, 5 } do
    fails(function() t:set("tokens", rwkv.full(bad, 1, 2)) end, "expected a whole number from 0 to 4")
  end
  t:set("tokens", rwkv.full(1, 1, 2))
  m:forward({ 1, 2 }, t)
end)
test("states of other models, shapes and batches", function()
  local a, b, c = v1(8), v4(), rwkv.model { version = "v4", layers = 1, dim = 4, vocab = 5 }
  local s = b:state(2)
  fails(function() b:forward({ 1 }, s) end, "batch of 2")
  fails(function() a:forward({ { 1 }, { 2 } }, s) end, "another model")
  fails(function() c:forward({ { 1 }, { 2 } }, s) end, "another model")
  fails(function() b:forward({ 1 }, a:state()) end, "another model")
  fails(function() b:loss({ 1 }, { 2 }, { state = b }) end)
  for _, name in ipairs(s:names()) do
    fails(function() s:set(name, rwkv.ones(1, 1, 1, 1)) end)
    fails(function() s:set(name, { 1 }) end)
    s:set(name, s:get(name) * (0 / 0))
  end
  fails(function() s:get "9.att_xx" end)
  fails(function() s:get "" end)
  b:forward({ { 1 }, { 2 } }, s)
  local function with_shared_state()
    local shared = b:state()
    local loss = b:loss({ 1 }, { 2 }, { state = shared }) + v4():loss({ 1 }, { 2 }, { state = shared })
    shared:detach():copy()
    return loss
  end
  local loss = with_shared_state()
  collect()
  loss:backward()
  local l = v4():loss({ 1, 2 }, { 2, -1 }) -- model and state have no other owner
  collect()
  l:backward()
end)
test("an optimizer without its model, and one of another model", function()
  local o = rwkv.adamw(v4(), {})
  collect()
  o:zero_grad()
  o:step()
  local big = rwkv.model { version = "v4", layers = 2, dim = 8, vocab = 5 }
  local path = temporary()
  fails(function() v4():save(path, { optimizer = rwkv.adamw(big, {}) }) end, "another model")
  fails(function() v4():save(path, { optimizer = rwkv.adamw(v4(), {}) }) end, "another model")
  local m = v4()
  local mine = rwkv.adamw(m, {})
  m:save(path, { optimizer = mine })
  fails(function() rwkv.adamw(big, {}):restore(path) end, "checkpoint")
  m:save(path)
  fails(function() mine:restore(path) end, "no optimizer")
  for _, steps in ipairs { "9223372036854775807", "-5", "x", "99999999999999999999" } do
    m:save(path, { optimizer = mine, meta = { ["optim.step"] = steps } })
    fails(function() mine:restore(path) end, "steps")
  end
  mine:step()
  os.remove(path)
end)
test("tokens and targets of all kinds", function()
  local m = v4()
  for _, id in ipairs { -1, 5, 2 ^ 31, -2 ^ 31, 1e300, 0 / 0, 1 / 0, 1.5, "x", true, {}, math.mininteger } do
    fails(function() m:forward { 1, id } end)
    fails(function() m:forward { { id } } end)
    if id ~= -1 then fails(function() m:loss({ 1 }, { id }) end) end
    fails(function() rwkv.ones(4, 3):embed { id, 0 } end)
  end
  for _, bad in ipairs { {}, { {} }, { { 1 }, {} }, { { 1 }, 2 }, 5, "x", print } do
    fails(function() m:forward(bad) end)
    fails(function() m:loss({ 1 }, bad) end)
  end
  fails(function() m:loss({ 1, 2 }, { 1 }) end, "differ")
  equal(m:loss({ 1 }, { -1 }):item(), 0)
  m:loss({ 1, 2 }, { -1, -2147483647 }):backward()
  rwkv.end_step()
end)
test("zero-size tensors everywhere", function()
  local shapes = { { 0 }, { 3, 0 }, { 0, 3 }, { 1, 0, 3 }, { 0, 0, 0, 0 }, {}, { 2, 3 }, { 0, 65536, 65536, 65536 },
    { 65536, 65536, 16384, 0 }, { 65536, 65536, 0, 65536 } }
  local methods = { "exp", "abs", "maximum", "clamp", "lerp", "linear", "matmul", "layer_norm", "group_norm", "l2norm",
    "reshape", "slice", "sum", "mean", "argmax", "embed", "cross_entropy", "shift", "backward", "item", "size", "grad",
    "keep", "expand", "cumsum", "gt", "ne", "flatten", "squeeze", "unsqueeze", "split", "chunk", "min", "var", "std",
    "norm", "rsqrt", "masked_fill", "tril", "triu", "bmm", "softmax" }
  for _, backend in ipairs { "reference", rwkv.backend() } do
    for _, s in ipairs(shapes) do
      for _, s2 in ipairs(shapes) do
        local x, y = rwkv.zeros(s):requires_grad(), rwkv.zeros(s2)
        local function try(f)
          pcall(function()
            local r = f()
            local _ = tostring(r)
            r:sum():backward()
          end)
        end
        rwkv.backend(backend)
        for _, m in ipairs(methods) do
          for _, a in ipairs { { y }, { 1 }, { -1, true }, { 2, 1, 0 }, { y, y, y }, { 1, y, y }, { 0, -1 } } do
            local z = x * 1
            try(function() return z[m](z, table.unpack(a)) end)
          end
        end
        try(function() return x + y end)
        try(function() return x / y end)
        try(function() return rwkv.where(x, y, x * 1) end)
        try(function() return rwkv.where(x:lt(y), 1 / 0, y) end)
        try(function() return rwkv.stack({ x, y }, -1) end)
        for _, i in ipairs { 1, -1, 0, 3 } do
          try(function() return (x * 1)[i] end)
          try(function() return y[i] end)
        end
        try(function() return rwkv.full(#x, 1) end)
        for axis = -4, 4 do try(function() return rwkv.concat({ x, y, x }, axis) end) end
        for _, name in ipairs { "wkv2", "wkv4", "wkv6", "wkv7", "selective_scan" } do
          try(function() return (rwkv[name](x, x, y, y, x, x, y)) end)
          try(function() return (rwkv[name](y, y, x, x, y, y, y)) end)
        end
        for _, heads in ipairs { 1, 0, 3, -1, 2 ^ 31, math.maxinteger } do
          try(function() return (rwkv.attention(x, x, x, heads, y, y)) end)
          try(function() return (rwkv.attention(x, y, x, heads)) end)
          try(function() return (rwkv.attention(y, y, y, heads, nil, x)) end)
        end
        rwkv.end_step()
      end
    end
  end
  equal(rwkv.zeros(3, 0):sum(2):tolist(), { 0, 0, 0 })
  fails(function() rwkv.ones(0):argmax() end, "argmax")
  fails(function() rwkv.zeros(0, 3):embed { 0 } end, "there are no ids")
  fails(function() rwkv.zeros(0):layer_norm(rwkv.zeros(0), rwkv.zeros(0)) end, "norm")
end)
test("whole numbers are never cut to 32 bits", function()
  local x, m = rwkv.randn(2, 8), v4()
  local design = { version = "v4", layers = 1, dim = 8, vocab = 5 }
  local function with(name, n)
    local d = {}
    for k, v in pairs(design) do d[k] = v end
    d[name] = n
    return d
  end
  local calls = {
    ["group_norm: heads"] = function(n) return x:group_norm(n, rwkv.ones(8), rwkv.ones(8)) end,
    ["l2norm: heads"] = function(n) return x:l2norm(n) end,
    ["attention: heads"] = function(n)
      local q = rwkv.ones(1, 2, 8)
      return rwkv.attention(q, q, q, n)
    end,
    ["state: the batch"] = function(n) return m:state(n) end,
    ["state_floats: tokens"] = function(n) return m:state_floats(n) end,
    threads = rwkv.threads,
    ["machine_rates: threads"] = function(n) return rwkv.machine_rates(n) end,
    ["size 2 of the shape"] = function(n) return rwkv.zeros(2, n) end,
    ["size 1 of its shape"] = function(n)
      rwkv.save_tensors(temporary(), { { name = "x", value = x, shape = { n, 16 } } })
    end,
    axis = function(n) return x:sum(n) end,
    ["x["] = function(n) return x[n] end,
    ["sequence 1, position 1"] = function(n) return rwkv.tokens { n } end,
    slice = function(n) return x:slice(1, n, n) end,
    layers = function(n) return rwkv.model(with("layers", n)) end,
    tokens = function(n) return rwkv.describe(with("tokens", n)) end,
    warmup = function(n) return rwkv.adamw(m, { warmup = n }) end,
  }
  for what, call in pairs(calls) do
    for _, n in ipairs { 2 ^ 32 + 1, 2 ^ 31, -2 ^ 31 - 1, math.maxinteger, math.mininteger + 1 } do
      fails(function() call(math.tointeger(n)) end, what)
      fails(function() call(n + 0.0) end)
    end
    if not ("axis x[ slice"):find(what, 1, true) then fails(function() call(1.5) end, what, "whole number", "1.5") end
  end
  fails(function() rwkv.model(with("seed", 1.5)) end, "seed: expected a whole number", "1.5")
  fails(function() rwkv.rng(1):count(-1) end, "count", "-1")
end)

test("huge sizes", function()
  local big = 2147483647
  fails(function() rwkv.concat({ rwkv.zeros(big, 0), rwkv.zeros(big, 0) }, 1) end, "too long")
  fails(function() rwkv.zeros(big, big, big) end, "too large")
  fails(function() rwkv.zeros(0, big, big, big):sum(1) end, "too large")
  fails(function() rwkv.ones(2):reshape(big, big, big) end)
  fails(function() rwkv.ones(2):reshape(-1, -1) end)
  fails(function() rwkv.ones(2):reshape(-1, 0) end)
  fails(function() rwkv.ones(3):slice(1, math.maxinteger, math.mininteger) end)
  fails(function() rwkv.ones(3):slice(math.mininteger, 1) end)
  fails(function() rwkv.zeros(65536, 65536, 16384, 0):tolist() end, "too many lists")
  equal(rwkv.zeros(3, 2, 0, 9):tolist()[3][2], {})
  equal(rwkv.zeros(big, 0):slice(1, -1, -1):shape(), { 1, 0 })
  fails(function() rwkv.ones(3):sum(math.maxinteger) end)
  fails(function() rwkv.rng(1):tensor("normal", big, big) end)
  fails(function() rwkv.randn(big, big) end)
  fails(function() rwkv.eye(big) end, "too large")
  fails(function() rwkv.eye(2 ^ 31) end, "whole number")
  fails(function() rwkv.arange(big + 1) end, "arange")
  fails(function() rwkv.arange(0, 1e308, 1e-308) end, "arange")
  fails(function() rwkv.arange(-1e308, 1e308) end, "arange")
  local x = rwkv.ones(3, 1)
  fails(function() x:expand(big, big, 3, big) end, "too large")
  fails(function() x:expand(2 ^ 31, 3, 1) end, "whole number")
  fails(function() x:expand(3, 0 / 0) end, "whole number")
  fails(function() x:expand(1, 1, 1, 3, 1) end, "at most 4")
  fails(function() x:expand { 3, {} } end, "whole number")
  fails(function() return x[big] end, "rows")
  fails(function() return x[2 ^ 63] end, "number of a row")
  fails(function() x:split(1, math.maxinteger) end, "equal parts")
  fails(function() rwkv.zeros(0):split(1, math.maxinteger) end, "equal parts")
  fails(function() x:split(1, { math.maxinteger, math.maxinteger, 5 }) end)
  fails(function() x:split(1, { math.mininteger, 3 }) end)
  equal(select("#", x:chunk(math.maxinteger)), 3)
  fails(function() x:chunk(math.mininteger) end, "parts")
  fails(function() x:unsqueeze(math.maxinteger) end, "expected 1 to 3")
  fails(function() x:flatten(math.mininteger) end, "axis")
  fails(function() rwkv.zeros(0, big, big, big):flatten(2) end, "whole number")
  equal(x:tril(math.maxinteger):tolist(), { { 1 }, { 1 }, { 1 } })
  fails(function() x:triu(0 / 0) end, "whole number")
  fails(function() rwkv.attention(x, x, x, big) end, "attention")
  for _, name in ipairs(rwkv.versions()) do
    for _, size in ipairs { -1, 1, 3, 2 ^ 24, 2 ^ 31 - 1, 2 ^ 31, 0 / 0, 1.5 } do
      for _, field in ipairs { "layers", "dim", "vocab", "dim_att", "dim_ffn", "head_size", "decay_rank", "iclr_rank",
        "value_rank", "gate_rank", "mix_rank", "head_qk", "ctx", "pre_ffn", "tiny_att_layer", "tiny_att", "seed",
        "tokens" } do
        if field ~= "layers" or size ~= 2 ^ 24 then
          pcall(rwkv.describe, { version = name, layers = 2, dim = 1024, vocab = 9, [field] = size })
        end
      end
    end
    assert(rwkv.describe { version = name, layers = 1, dim = 64, vocab = 9, tokens = big }.flops_per_token > 0)
  end
end)
test("files that are none, or damaged", function()
  local m = v4()
  local o = rwkv.adamw(m, {})
  for _, path in ipairs { "", "/", "/tmp", "/dev/null", "/dev/zero", "/proc/self/maps", "/nowhere/x", "a\0b" } do
    fails(function() rwkv.load(path) end)
    fails(function() o:restore(path) end)
    fails(function() rwkv.verify(m, path, 1) end)
  end
  for _, path in ipairs { "", "/", "/tmp", "/nowhere/x", "/proc/x" } do
    fails(function() m:save(path) end)
    fails(function() rwkv.write_file(path, "x") end)
  end
  fails(function() rwkv.mkdir "/proc/x/y" end)
  local path, cut = temporary(), temporary()
  fails(function() m:save(path, { meta = { 1 } }) end, "meta")
  fails(function() m:save(path, { meta = { a = {} } }) end, "meta")
  fails(function() m:save(path, { meta = 5 }) end)
  m:save(path, { optimizer = o, meta = { a = 5, b = "\0\255\"", [""] = "" } })
  o:restore(path)
  local f = io.open(path, "rb")
  local bytes = f:read "a"
  f:close()
  local header = 8 + string.unpack("<I8", bytes)
  local random = rwkv.rng(1, "damage")
  local function try(text)
    f = io.open(cut, "wb")
    f:write(text)
    f:close()
    local ok, x = pcall(rwkv.load, cut)
    if ok then pcall(x.forward, x, { 1 }) end
    pcall(o.restore, o, cut)
    pcall(rwkv.verify, m, cut, 1)
    return ok
  end
  for i = 0, 20 do assert(not try(bytes:sub(1, (#bytes - 1) * i // 20))) end
  for _ = 1, 150 do
    local at = random:integer(1, header)
    local byte = random:integer(0, 1) == 0 and string.char(random:integer(0, 255)) or ("019[],{}\":"):sub(random:integer(1, 9)):sub(1, 1)
    try(bytes:sub(1, at - 1) .. byte .. bytes:sub(at + 1))
  end
  os.remove(path)
  os.remove(cut)
end)
test("methods on anything else", function()
  local m = v4()
  local things = { m, rwkv.adamw(m, {}), m:state(), rwkv.ones(2), rwkv.tokens { 1 }, rwkv.rng(), 1, "x", {}, print,
    io.stdout, coroutine.create(print) }
  local methods = {}
  for _, o in ipairs(things) do
    assert(type(o) ~= "userdata" or o == io.stdout or type(getmetatable(o)) == "string" )
    for _, name in ipairs { "forward", "loss", "state", "param", "parameters", "config", "param_count", "copy",
      "detach", "get", "set", "names", "step", "rate", "restore", "item", "tolist", "grad", "exp", "linear", "rows",
      "shape", "uniform", "shuffle", "distinct", "order", "count", "tensor", "keep", "requires_grad", "expand", "eq", "cumsum",
      "flatten", "squeeze", "unsqueeze", "split", "chunk", "min", "std", "norm", "masked_fill", "tril", "dim", "t" } do
      local ok, f = pcall(function() return o[name] end)
      if ok and type(f) == "function" and o ~= io.stdout then methods[#methods + 1] = f end
    end
  end
  for _, name in ipairs { "where", "arange", "eye", "zeros_like", "ones_like", "stack", "attention", "selective_scan",
    "wkv4" } do
    methods[#methods + 1] = rwkv[name]
  end
  for _, a in ipairs(things) do -- as rows, and as keys
    for _, b in ipairs(things) do pcall(function() return rwkv.ones(2)[a] + a[b] + #a end) end
    fails(function() rwkv.ones(2)[a] = a end)
  end
  for _, f in ipairs(methods) do
    pcall(f)
    for _, a in ipairs(things) do
      if a ~= io.stdout then pcall(f, a) end
      pcall(f, a, a)
      for _, b in ipairs(things) do pcall(f, a, b, b, b, b) end
    end
  end
  os.remove "x" -- saved there, perhaps
  local step = m:parameters()
  fails(function() step() end)
  fails(function() step(rwkv.ones(1)) end)
  local small = rwkv.model { version = "v4", layers = 1, dim = 4, vocab = 3 }
  for _ = 1, 100 do step(small) end
  equal(step(m), nil)
  fails(function() setmetatable(m, {}) end)
end)

test("finalizers cannot save what is being collected", function()
  local got = {}
  local function resurrect(object, f)
    setmetatable({ object = object }, { __gc = function(self) got[#got + 1] = { pcall(f, self.object) } end })
  end
  resurrect(v4(), function(m) return m:param "emb.weight" end)
  resurrect(v4(), function(m) return rwkv.adamw(m, {}) end)
  resurrect(v4(), function(m) return (m:loss({ 1, 2 }, { 2, 3 })) end)
  resurrect(rwkv.ones(5):requires_grad(), function(t) return (t * t):sum() end)
  local m = v4()
  resurrect(m:state(1), function(s) return (m:loss({ 1, 2 }, { 2, 3 }, { state = s })) end)
  collect()
  equal(#got, 5)
  for _, g in ipairs(got) do
    assert(not g[1] and g[2]:find "being collected", g[2])
  end
  local saved
  setmetatable({ rwkv.ones(3) }, { __gc = function(self) saved = self[1] end })
  collect()
  fails(function() saved:tolist() end)
end)

test("when the program ends", function()
  local script = temporary [[
    local rwkv = require "rwkv"
    local function use()
      return setmetatable({}, { __gc = function()
        pcall(function() L:backward() end)
        pcall(function() L = M:loss({ 1, 2 }, { 2, 3 }, { state = S }) end)
        pcall(function() O:step() end)
        pcall(function() S:get "0.att_xx" end)
        pcall(function() return tostring(T), tostring(L), tostring(M), tostring(S) end)
        pcall(function() for _, t in M:parameters() do T:set(t) end end)
      end })
    end
    A = use()
    M = rwkv.model { version = "v4", layers = 1, dim = 8, vocab = 5 }
    B = use()
    S = M:state()
    T = rwkv.ones(3):requires_grad()
    C = use()
    O = rwkv.adamw(M, {})
    L = M:loss({ 1, 2 }, { 2, 3 }, { state = S })
    D = use()
    print "fine"
  ]]
  local out, status = check.shell(("%s %s"):format(check.program, script))
  equal(out, "fine\n")
  equal(status, 0)
  os.remove(script)
end)

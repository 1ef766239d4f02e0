-- Tensors from Lua: creation, arithmetic, gradients, lifetimes, errors.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local test, equal, fails = check.test, check.equal, check.fails
local tol = rwkv.precision == "float64" and 1e-14 or 1e-6

test("creation and access", function()
  local t = rwkv.tensor { { 1, 2, 3 }, { 4, 5, 6 } }
  equal(t:shape(), { 2, 3 })
  equal(t:size(), 6)
  equal(t:size(1), 2)
  equal(t:size(-1), 3)
  equal(t:tolist(), { { 1, 2, 3 }, { 4, 5, 6 } })
  equal(rwkv.tensor(7):item(), 7)
  equal(rwkv.zeros(2, 2):tolist(), { { 0, 0 }, { 0, 0 } })
  equal(rwkv.ones { 3 }:tolist(), { 1, 1, 1 })
  equal(rwkv.full(2.5, 1, 2):tolist(), { { 2.5, 2.5 } })
  equal(tostring(t), "tensor[2,3] {{1, 2, 3}, {4, 5, 6}}")
  equal(rwkv.tensor {}:size(), 0)
end)

test("bad creation is refused", function()
  fails(function() rwkv.tensor { { 1, 2 }, { 3 } } end, "different lengths")
  fails(function() rwkv.tensor { { 1, "x" } } end, "expected a number")
  fails(function() rwkv.tensor { { { { { 1 } } } } } end, "more than 4")
  fails(function() rwkv.zeros(2, -3) end, "whole number")
  fails(function() rwkv.zeros(1e9, 1e9, 1e9) end, "too large")
  fails(function() rwkv.zeros(0 / 0) end, "whole number")
  fails(function() rwkv.zeros(1, 1, 1, 1, 1) end, "at most 4")
  fails(function() rwkv.zeros(2.5) end, "whole number")
  fails(function() rwkv.tensor { 1, 2 }:item() end, "expected one")
end)

test("operators and broadcasting", function()
  local a = rwkv.tensor { { 1, 2 }, { 3, 4 } }
  equal((a + 1):tolist(), { { 2, 3 }, { 4, 5 } })
  equal((1 - a):tolist(), { { 0, -1 }, { -2, -3 } })
  equal((a * rwkv.tensor { 10, 100 }):tolist(), { { 10, 200 }, { 30, 400 } })
  equal((a / a):tolist(), { { 1, 1 }, { 1, 1 } })
  equal((-a):tolist(), { { -1, -2 }, { -3, -4 } })
  equal((rwkv.tensor { { 1 }, { 2 } } * rwkv.tensor { { 3, 4 } }):tolist(), { { 3, 4 }, { 6, 8 } })
  equal(a:maximum(2.5):tolist(), { { 2.5, 2.5 }, { 3, 4 } })
  fails(function() return a + rwkv.tensor { 1, 2, 3 } end, "add", "[2,2]", "[3]")
end)

test("methods", function()
  local x = rwkv.tensor { { -1, 0.5 } }
  equal(x:sigmoid():tolist(), { { 1 / (1 + math.exp(1)), 1 / (1 + math.exp(-0.5)) } }, tol)
  equal(x:relu2():tolist(), { { 0, 0.25 } }, tol)
  equal(x:linear(rwkv.tensor { { 1, 2 }, { 3, 4 }, { 5, 6 } }):tolist(), { { 0, -1, -2 } }, tol)
  equal(x:matmul(rwkv.tensor { { 1, 2, 3 }, { 4, 5, 6 } }):tolist(), { { 1, 0.5, 0 } }, tol)
  equal(x:lerp(rwkv.tensor { { 1, 1 } }, rwkv.tensor { 0.5, 1 }):tolist(), { { 0, 1 } }, tol)
  equal(x:reshape(2, -1):shape(), { 2, 1 })
  local y = rwkv.tensor { { 1, 2, 3 }, { 4, 5, 6 } }
  equal(y:slice(2, 2, 3):tolist(), { { 2, 3 }, { 5, 6 } })
  equal(y:slice(-2, -1):tolist(), { { 4, 5, 6 } })
  equal(rwkv.concat({ y, y }, 1):shape(), { 4, 3 })
  equal(y:sum():item(), 21)
  equal(y:sum(1):tolist(), { 5, 7, 9 })
  equal(y:mean(2, true):tolist(), { { 2 }, { 5 } }, tol)
  equal(y:mean():item(), 3.5, tol)
  equal(y:argmax(), { 2, 2 })
  fails(function() y:sum(3) end, "axis 3")
  fails(function() y:slice(2, 2, 9) end, "not within")
  fails(function() y:reshape(4, 2) end, "reshape")
end)

test("gradients", function()
  local x = rwkv.tensor { 1, 2, 3 }:requires_grad()
  local loss = (x * x * 2):sum()
  loss:backward()
  equal(x:grad():tolist(), { 4, 8, 12 }, tol)
  fails(function() loss:backward() end, "already run")
  local again = (x * x):sum()
  again:backward() -- gradients accumulate
  equal(x:grad():tolist(), { 6, 12, 18 }, tol)
  equal(x:zero_grad():grad():tolist(), { 0, 0, 0 })
  fails(function() (x * 1):backward() end, "single number")
  rwkv.end_step()
end)

test("a tensor of a step that is over raises", function()
  local x = rwkv.tensor { 1, 2 }:requires_grad()
  local y = x * 3
  local kept = y:keep()
  rwkv.end_step()
  equal(y:tolist(), { 3, 6 }) -- still there: nothing new was computed
  local z = x * 2
  fails(function() y:item() end, "step that is over")
  fails(function() return y + z end, "step that is over")
  fails(function() return tostring(y):item() end)
  equal(tostring(y), "tensor (of a step that is over)")
  equal(kept:tolist(), { 3, 6 })
end)

test("no_grad records nothing and gives its memory back", function()
  local x = rwkv.tensor { 1, 2 }:requires_grad()
  local inner
  local y, n = rwkv.no_grad(function()
    inner = x * 2
    for _ = 1, 1000 do local _ = rwkv.zeros(10000) + 1 end
    return inner, 42
  end)
  equal(y:tolist(), { 2, 4 })
  equal(n, 42)
  fails(function() inner:tolist() end, "step that is over")
  fails(function() y:sum():backward() end, "needs a gradient")
  local before = rwkv.tape_bytes()
  for _ = 1, 1000 do rwkv.no_grad(function() return (rwkv.zeros(100000) + 1):sum() end) end
  equal(rwkv.tape_bytes(), before)
  fails(function() rwkv.no_grad(function() error "inside" end) end, "inside")
  equal((x * 1):tolist(), { 1, 2 }) -- works on afterwards
end)

test("no backward inside no_grad", function()
  local x = rwkv.tensor { 1, 2 }:requires_grad()
  local loss = (x * x):sum()
  rwkv.no_grad(function() fails(function() loss:backward() end, "no_grad") end)
  loss:backward()
  equal(x:grad():tolist(), { 2, 4 })
  rwkv.end_step()
end)

test("collected operands stay alive while the tape needs them", function()
  local w = rwkv.tensor { 2, 3 }:requires_grad()
  local y = w * rwkv.full(5, 2) -- the second operand has no other owner
  y = y:reshape(2, 1)
  collectgarbage()
  collectgarbage()
  y:sum():backward()
  equal(w:grad():tolist(), { 5, 5 })
end)

test("errors carry the script's line", function()
  local _, message = pcall(function() return rwkv.tensor { 1 }:linear(rwkv.zeros(2, 3)) end)
  assert(message:find "test_tensor.lua:%d+: linear", message)
end)

test("random numbers are functions of seed and stream", function()
  local a, b = rwkv.rng(5, "x"), rwkv.rng(5, "x")
  for _ = 1, 10 do equal(a:uniform(), b:uniform()) end
  assert(rwkv.rng(5, "y"):uniform() ~= rwkv.rng(5, "x"):uniform())
  a:count(3)
  b:count(3)
  equal(a:integer(1, 1000000), b:integer(1, 1000000))
  equal(rwkv.rng(1):tensor("normal", 2, 3):shape(), { 2, 3 })
  fails(function() a:integer(3, 2) end, "nothing lies")
end)

test("arrays: axes, largest, picking, softmax, products", function()
  local x = rwkv.tensor { { 1, 2, 3 }, { 4, 5, 6 } }
  equal(x:transpose():tolist(), { { 1, 4 }, { 2, 5 }, { 3, 6 } })
  equal(x:reshape(1, 2, 3):permute(3, 1, 2):shape(), { 3, 1, 2 })
  equal(x:max():item(), 6)
  equal(x:max(1):tolist(), { 4, 5, 6 })
  equal(x:max(-1, true):tolist(), { { 3 }, { 6 } })
  equal(x:gather({ { 2, 0 }, { 1, 1 } }):tolist(), { { 3, 1 }, { 5, 5 } })
  equal(x:softmax():sum(2):tolist(), { 1, 1 }, tol)
  equal((x:log_softmax():exp() - x:softmax()):abs():max():item(), 0, tol)
  equal(x:bmm(x:transpose()):tolist(), { { 14, 32 }, { 32, 77 } })
  equal(rwkv.stack({ x, x }):shape(), { 2, 2, 3 })
  equal(rwkv.stack({ x, x }, 3):tolist()[1], { { 1, 1 }, { 2, 2 }, { 3, 3 } })
  equal((x ^ 2):tolist(), { { 1, 4, 9 }, { 16, 25, 36 } })
  equal((x ^ -1):tolist()[1], { 1, 1 / 2, 1 / 3 }, tol)
  equal((x ^ 0.5):tolist()[2], { 2, math.sqrt(5), math.sqrt(6) }, tol)
  equal((x ^ 1.5):tolist()[1], { 1, 2 ^ 1.5, 3 ^ 1.5 }, tol * 10)
  equal((x ^ 0):tolist()[1], { 1, 1, 1 })
  equal(x:cos():tolist()[1][1], math.cos(1), tol)
  fails(function() x:permute(1) end, "permute")
  fails(function() x:gather { { 0, 3 }, { 0, 0 } } end, "index 3")
  fails(function() x:gather { 0 } end, "one row for each row")
  fails(function() x:bmm(x) end, "bmm")
  fails(function() rwkv.stack({ x }, 5) end, "axis 5")
end)

local gradcheck = rwkv.precision == "float64" and rwkv.gradcheck or function() end
local rng = rwkv.rng(3, "test_tensor")
local function normal(...) return rng:tensor("normal", ...) end
local function negative(...) return (-normal(...):abs()):keep() end

-- Positions from .. to of every [B,T,..].
local function tokens(list, from, to)
  local part = {}
  for i, t in ipairs(list) do part[i] = t:slice(2, from, to) end
  return table.unpack(part)
end

test("wkv4 with one decay and with one for every token", function()
  local w, u, k, v = negative(3), normal(3), normal(2, 5, 3), normal(2, 5, 3)
  local a, b, p = rwkv.zeros(2, 3), rwkv.zeros(2, 3), rwkv.full(-1e38, 2, 3)
  local one = rwkv.wkv4(w, u, k, v, a, b, p)
  local many = rwkv.wkv4((w + rwkv.zeros(2, 5, 3)):keep(), u, k, v, a, b, p)
  equal(many:tolist(), one:tolist())
  equal(one:slice(2, 1, 1):tolist(), v:slice(2, 1, 1):tolist(), tol) -- of one token its own value is the mean
  gradcheck(function(w, u, k, v) return (rwkv.wkv4(-w:abs(), u, k, v, a, b, p)) end, normal(2, 5, 3), u, k, v)
  fails(function() rwkv.wkv4(normal(2, 3, 5), u, k, v, a, b, p) end, "wkv4: w is [2,3,5]", "3 numbers or [2,5,3]")
end)

test("attention", function()
  local q, k, v = normal(2, 5, 4), normal(2, 5, 4), normal(2, 5, 4)
  local y, keys, values = rwkv.attention(q, k, v, 2)
  equal(keys:tolist(), k:tolist())
  equal(values:tolist(), v:tolist())
  equal(y:slice(2, 1, 1):tolist(), v:slice(2, 1, 1):tolist(), tol) -- there is nothing else to look at
  for h = 1, 2 do -- the last position of a head, by hand
    local from, to = 2 * h - 1, 2 * h
    local function head(t) return t:slice(3, from, to) end
    local weight = (head(q):slice(2, 5, 5):bmm(head(k):transpose()) / math.sqrt(2)):softmax()
    equal(head(y):slice(2, 5, 5):tolist(), weight:bmm(head(v)):tolist(), 10 * tol)
  end
  local first, some_keys, some_values = rwkv.attention(tokens({ q, k, v }, 1, 2))
  local rest, all_keys = rwkv.attention(q:slice(2, 3), k:slice(2, 3), v:slice(2, 3), nil, some_keys, some_values)
  equal(rwkv.concat({ first, rest }, 2):tolist(), rwkv.attention(q, k, v):tolist(), 10 * tol)
  equal(all_keys:shape(), { 2, 5, 4 })
  gradcheck(function(q, k, v, ...) return (rwkv.attention(q, k, v, 2, ...)) end, q, k, v, normal(2, 3, 4), normal(2, 3, 4))
  fails(function() rwkv.attention(q, k, v, 3) end, "attention: q [2,5,4] cannot be split into 3 heads")
  fails(function() rwkv.attention(q, k, v, 2, k) end, "keys [2,5,4] and values [0]")
  fails(function() rwkv.attention(q, k, v, 2, k, k:slice(2, 1, 3)) end, "different numbers of positions")
  fails(function() rwkv.attention(q, k, normal(2, 5, 3), 1) end, "v [2,5,3]")
  rwkv.end_step()
end)

test("selective scan", function()
  local x, delta, A = normal(2, 5, 3), normal(2, 5, 3):softplus():keep(), negative(3, 4)
  local B, C, h = normal(2, 5, 4), normal(2, 5, 4), normal(2, 3, 4)
  local y, last = rwkv.selective_scan(x, delta, A, B, C, h)
  local step = (delta:slice(2, 1, 1):transpose() * A):exp() * h -- the first token, by hand: [2,3,4]
    + (delta * x):slice(2, 1, 1):transpose() * B:slice(2, 1, 1)
  equal(y:slice(2, 1, 1):transpose():tolist(), step:bmm(C:slice(2, 1, 1):transpose()):tolist(), 10 * tol)
  local x1, d1, B1, C1 = tokens({ x, delta, B, C }, 1, 2)
  local x2, d2, B2, C2 = tokens({ x, delta, B, C }, 3, 5)
  local first, between = rwkv.selective_scan(x1, d1, A, B1, C1, h)
  local rest, final = rwkv.selective_scan(x2, d2, A, B2, C2, between)
  equal(rwkv.concat({ first, rest }, 2):tolist(), y:tolist(), 10 * tol)
  equal(final:tolist(), last:tolist(), 10 * tol)
  gradcheck(rwkv.selective_scan, x, delta, A, B, C, h)
  fails(function() rwkv.selective_scan(x, delta, A, B, normal(2, 5, 3), h) end, "C is [2,5,3], expected [2,5,4]")
  fails(function() rwkv.selective_scan(x, delta, A, B, C) end)
  rwkv.end_step()
end)

test("gradcheck finds right gradients right and wrong ones wrong", function()
  local out, status = check.shell(check.program .. [[ -e 'local rwkv = require "rwkv"
    local r = rwkv.rng(1)
    local a, b = r:tensor("normal", 3, 4), r:tensor("normal", 4, 2)
    print(rwkv.precision, rwkv.gradcheck(function(a, b) return a:tanh():bmm(b):softmax() end, a, b) < 1e-6)
    print(rwkv.gradcheck(function(a) return (a ^ 3):log_softmax() * a:sigmoid() end, a) < 1e-6)
    print(pcall(rwkv.gradcheck, function(a) return a * a:keep() end, a))']])
  equal(status, 0)
  assert(out:find "float64\ttrue\ntrue\nfalse\tgradcheck: the gradient is off", out)
end)

-- What the experiments measure inside models: spectral norms, decays, and recurrences in plain Lua; and the scripts
-- themselves, from the training of tiny models to the pictures.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local decay = require "experiments.measure.decay"
local quantile = require "experiments.measure.quantile"
local inputs = require "experiments.measure.wkv_inputs"
local matrix = require "experiments.measure.matrix"
local small = require "experiments.measure.small_models"
local wkv = require "experiments.measure.wkv"
local test, equal, fails = check.test, check.equal, check.fails

local double = rwkv.precision == "float64"
local tolerance = double and 1e-10 or 2e-5

-- ---- matrices ----

-- [N,N], orthogonal: a product of reflections
local function orthogonal(rng, N)
  local Q = rwkv.eye(N)
  for _ = 1, 3 do
    local x = rng:tensor("normal", N, 1)
    x = x / x:norm()
    Q = Q - 2 * x:matmul(x:transpose():matmul(Q))
  end
  return Q
end

local function with_values(rng, values) -- [1,N,N]
  local N, D = #values, {}
  for i = 1, N do
    D[i] = {}
    for j = 1, N do D[i][j] = i == j and values[i] or 0 end
  end
  return orthogonal(rng, N):matmul(rwkv.tensor(D)):matmul(orthogonal(rng, N)):reshape(1, N, N)
end

test("spectral norm and stable rank of matrices with known singular values", function()
  local rng, list = rwkv.rng(1), {}
  local cases = { { 5, 3, 1, 0, 0, 0 }, { 1, 1, 1, 1, 1, 1 }, { 2, 1.999, 1.998, 0.5, 0.1, 0 }, { 700, 0, 0, 0, 0, 0 },
    { 1e-3, 9e-4, 0, 0, 0, 0 }, { 0, 0, 0, 0, 0, 0 } }
  for i, values in ipairs(cases) do list[i] = with_values(rng, values) end
  local S = rwkv.concat(list, 1)
  local norms, ranks, rms = matrix.spectral(S):tolist(), matrix.stable_rank(S):tolist(), matrix.rms(S):tolist()
  for i, values in ipairs(cases) do
    local squares = 0
    for _, x in ipairs(values) do squares = squares + x * x end
    local close = i == 3 and 1e-4 or tolerance
    equal(norms[i] / math.max(values[1], 1), values[1] / math.max(values[1], 1), close)
    assert(norms[i] <= values[1] * (1 + 1e-5), "a Rayleigh quotient is never too large")
    equal(ranks[i], values[1] > 0 and squares / values[1] ^ 2 or 0, 4 * close)
    equal(rms[i], math.sqrt(squares / 36), tolerance)
  end
  rwkv.end_step()
end)

test("sizes of a matrix that is not square", function()
  local S = rwkv.tensor { { { 3, 0, 0 }, { 0, -4, 0 } } }
  equal(matrix.spectral(S):tolist(), { 4 }, tolerance)
  equal(matrix.largest(S):tolist(), { 4 })
  equal(matrix.stable_rank(S):tolist(), { 25 / 16 }, tolerance)
  rwkv.end_step()
end)

-- ---- decays ----

test("quantiles and summaries", function()
  equal(quantile({ 1, 2, 3, 4, 5 }, 0.5), 3)
  equal(quantile({ 1, 2, 4 }, 0.75), 3)
  equal(quantile({ 7 }, 0.1), 7)
  local s = decay.summary { 0, 0.05, 0.5, 0.95, 0.99 }
  equal({ s.below, s.above, s.median }, { 0.4, 0.4, 0.5 }, 1e-15)
end)

test("initial decays of RWKV-4 169M: the parts of layers 0, 6 and 11", function()
  local found = decay.initial({ version = "v4" }, 12, 768)
  for layer, expected in pairs { [0] = { 36, 22, 40 }, [6] = { 20, 47, 87 }, [11] = { 15, 59, 95 } } do
    local s = decay.summary(found[layer])
    equal({ math.floor(100 * s.below + 0.5), math.floor(100 * s.above + 0.5), math.floor(100 * s.median + 0.5) }, expected)
    for i, x in ipairs(found[layer]) do -- the formula, whose channels are in falling order of their decay
      local c = 768 - i
      equal(x, math.exp(-math.exp(-5 + 8 * (c / 767) ^ (0.7 + 1.3 * layer / 11))), 1e-5)
    end
  end
end)

test("initial decays of v5.2, v6 and v7", function()
  local five, six, seven = decay.initial({ version = "v5.2" }, 3, 64, 32), decay.initial({ version = "v6" }, 3, 64, 32), decay.initial({ version = "v7" }, 3, 64, 32)
  for layer = 0, 2 do
    equal(five[layer], six[layer], 1e-6)
    equal(five[layer][1], math.exp(-math.exp(-1)), 1e-6) -- -6 + 5 at the end of the ramp
    equal(five[layer][64], math.exp(-math.exp(-6)), 1e-6)
    assert(seven[layer][1] > math.exp(-math.exp(-0.5)) and seven[layer][64] < 1)
  end
end)

test("decays on a text: of a fresh model its initial ones; one that depends on tokens spreads", function()
  for _, version in ipairs { "v4", "v5.2", "v6", "v7" } do
    local model = rwkv.model { version = version, layers = 2, dim = 32, head_size = 16, vocab = 11 }
    local found, start = decay.on_text(model, { 1, 7, 3, 9, 2 }), decay.initial({ version = version }, 2, 32, 16)
    for layer = 0, 1 do
      for i, c in ipairs(found[layer]) do equal({ c.low, c.mean, c.high }, { start[layer][i], start[layer][i], start[layer][i] }, 1e-6) end
    end
  end
  local model = rwkv.model { version = "v6", layers = 1, dim = 32, head_size = 16, vocab = 11 }
  local w1 = model:param "blocks.0.att.time_decay_w1"
  w1:set(rwkv.rng(3):tensor("normal", w1:shape()))
  local last = 0
  for _, c in ipairs(decay.on_text(model, { 1, 7, 3, 9, 2 })[0]) do
    assert(c.low < c.mean and c.mean < c.high and c.mean >= last)
    last = c.mean
  end
end)

-- ---- recurrences ----

-- RWKV-4's mean as one sum over the past for every token, its largest exponent taken out
local function sum_v4(x, C)
  local y = {}
  for t = 1, #x.k do
    y[t] = {}
    for c = 1, C do
      local exponents, top = {}, x.u[c] + x.k[t][c]
      exponents[t] = top
      for i = 1, t - 1 do
        exponents[i] = (t - 1 - i) * x.w[c] + x.k[i][c]
        top = math.max(top, exponents[i])
      end
      local above, below = 0, 0
      for i = 1, t do
        local e = math.exp(exponents[i] - top)
        above, below = above + e * x.v[i][c], below + e
      end
      y[t][c] = above / below
    end
  end
  return y
end

test("the plain recurrence of RWKV-4 is the sum, for keys of any size", function()
  for _, size in ipairs { 1, 30, 300 } do
    local w, u = inputs.constants_v4(6)
    local k, v = inputs.keys_v4(rwkv.rng(size), 20, 6, size / 2, size)
    local x = { w = w, u = u, k = k, v = v }
    equal(wkv.exact.v4(6)(x), sum_v4(x, 6), 1e-11)
  end
end)

local function part(x, first, last)
  local piece = {}
  for name, list in pairs(x) do
    piece[name] = type(list[1]) == "table" and table.move(list, first, last, 1, {}) or list
  end
  return piece
end

test("plain recurrences and kernels agree, and go on where they ended", function()
  for _, backend in ipairs { "fast", "reference" } do
    local chosen = rwkv.backend()
    rwkv.backend(backend)
    for _, version in ipairs { "v4", "v6", "v7" } do
      local x = inputs[version](rwkv.rng(2), 40, 16)
      local whole, exact, kernel = wkv.exact[version](16)(x), wkv.exact[version](16), wkv.kernel[version](16)
      local at = 0
      for _, piece in ipairs { part(x, 1, 1), part(x, 2, 30), part(x, 31, 40) } do
        local y, z = exact(piece), kernel(piece)
        for t = 1, #y do
          equal(y[t], whole[at + t])
          equal(z[t], y[t], tolerance)
        end
        at = at + #y
      end
    end
    rwkv.backend(chosen)
  end
end)

-- A form of the mean on 8 tokens of 6 channels around `offset`, and its inputs.
local function on_keys(form, offset)
  local w, u = inputs.constants_v4(6)
  local k, v = inputs.keys_v4(rwkv.rng(4), 8, 6, offset, 1)
  local x = { w = w, u = u, k = k, v = v }
  local y = rwkv.no_grad(function() return form(rwkv.tensor(w), rwkv.tensor(u), rwkv.tensor { k }, rwkv.tensor { v }) end)
  return y:tolist()[1], x
end

local function v3(w, u, k, v) return wkv.clamped(w, u, k, v, 1e-8) end

test("where the mean as it is written breaks, and where the running maximum does not", function()
  for _, offset in ipairs { -500, -90, 0, 40, 70, 1000 } do
    local y, x = on_keys(wkv.safe, offset)
    equal(y, wkv.exact.v4(6)(x), 20 * tolerance)
  end
  for _, offset in ipairs { -40, 0, 40, 70 } do
    local y, x = on_keys(wkv.naive, offset)
    equal(y, wkv.exact.v4(6)(x), 20 * tolerance)
  end
  local y = on_keys(wkv.naive, double and 720 or 95) -- e^k is infinite
  for t = 2, 8 do for c = 1, 6 do assert(y[t][c] ~= y[t][c] or math.abs(y[t][c]) == math.huge) end end
end)

test("what the clamp and the eps of RWKV-3 do", function()
  local y, x = on_keys(v3, 30)
  equal(y, wkv.exact.v4(6)(x), 20 * tolerance)
  y, x = on_keys(v3, 80) -- all keys are cut: as if all were the same
  local same = {}
  for t = 1, 8 do same[t] = { 0, 0, 0, 0, 0, 0 } end
  equal(y, wkv.exact.v4(6) { w = x.w, u = x.u, k = same, v = x.v }, 20 * tolerance)
  y, x = on_keys(v3, -20) -- too small by the part that the eps has in the denominator; of the first token that is known
  local exact = wkv.exact.v4(6)(x)
  for c = 1, 6 do
    local e = math.exp(x.u[c] + x.k[1][c])
    equal(y[1][c], exact[1][c] * e / (e + 1e-8), 20 * tolerance)
  end
end)

-- ---- texts and scripts ----

test("the invented language is always the same; what is held out is the last tenth", function()
  local folder = "runs/test_invented_" .. rwkv.precision
  local one, again = small.text("no such file", folder .. "/a"), small.text("no such file", folder .. "/b")
  local file <close> = io.open(one.path, "rb")
  local all = file:read "a"
  equal(one.cut + one.size, #all)
  assert(math.abs(one.size / #all - 0.1) < 1e-4)
  equal(one.held(1, 100), again.held(1, 100))
  equal(string.char(table.unpack(one.held(one.size - 9, 10))), all:sub(-10))
  os.execute("rm -r " .. folder)
end)

test("the scripts, and their pictures", function()
  local directory = "runs/test_inside_" .. rwkv.precision
  for _, name in ipairs { "wkv_stability", "decay_spectrum", "state_norm", "parameter_stats" } do
    local trained = name ~= "wkv_stability" and (" --text none --trained %s/models"):format(directory) or ""
    local out, status = check.shell(("%s --threads 1 experiments/%s.lua --scale smoke --out %s%s"):format(check.program, name,
      directory, trained))
    assert(status == 0, out)
    local drawn = out:match "([^\n]+)%.figure%.tsv\n$"
    assert(drawn and drawn:find(("%s/%s.smoke"):format(directory, name), 1, true) == 1, out)
    out, status = check.shell(("gnuplot -e \"out='%s'\" plots/%s.gp"):format(drawn, name))
    if double then out = out:gsub("[^\n]*no valid points[^\n]*\n", "") end -- errors below the axes of that picture
    assert(status == 0 and not out:find "warning", out)
    for _, ending in ipairs { "png", "svg", "pdf" } do
      local file = assert(io.open(drawn .. "." .. ending, "rb"))
      assert(#file:read "a" > 5000)
      file:close()
    end
  end
  check.shell("rm -r " .. directory)
  fails(function() small.train { scale = "huge", text = "none" } end, "--scale huge")
end)

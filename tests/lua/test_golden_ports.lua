-- What ports have: files of every kind, their own names and shapes, some positions; and what a pack gives them to load.
local rwkv = require "rwkv"
if rwkv.precision ~= "float64" then return end -- the command computes in float64, whichever program is asked
local check = require "tests.lua.lib.check"
local json = require "rwkv.json"
local numpy = require "tests.lua.lib.numpy"
local test, equal, shell = check.test, check.equal, check.shell

local dir = os.tmpname()
os.remove(dir)
rwkv.mkdir(dir)
local function at(name) return dir .. "/" .. name end
local function golden(words) return shell(check.program .. " golden " .. words:gsub("%%D", dir)) end
local has = check.has
local function put(name, bytes) rwkv.write_file(at(name), bytes) end

local out, status = golden "make v7 --layers 2 --dim 16 --vocab 17 --len 6 --batch 2 %D/v7.safetensors"
assert(status == 0, out)
local pack = rwkv.load_tensors(at "v7.safetensors")
local logits = pack.logits.value:reshape(-1):tolist()

local function diff(paths, options)
  local words = {}
  for path in paths:gmatch "%S+" do words[#words + 1] = at(path) end
  return golden(("diff %%D/v7.safetensors %s --no-causes "):format(table.concat(words, " ")) .. (options or ""))
end
-- What agrees: how many tensors were compared, and what the text has to say.
local function agree(n, paths, options, ...)
  local text, code = diff(paths, options)
  has(text, ("%d tensors compared"):format(n), "all agree", ...)
  equal(code, 0)
end
local function off(paths, options, ...)
  local text, code = diff(paths, options)
  has(text, ...)
  equal(code, 1)
end
local function refused(paths, options, ...)
  local text, code = diff(paths, options)
  has(text, ...)
  assert(not text:find "traceback", text)
  equal(code, 2)
end

-- { name = value } as a file of any format
local function save(name, map)
  local list = {}
  for key, value in pairs(map) do list[#list + 1] = { name = key, value = value } end
  table.sort(list, function(a, b) return a.name < b.name end)
  rwkv.save_tensors(at(name), list)
end

local function lines_of(numbers, format)
  local list = {}
  for i, x in ipairs(numbers) do list[i] = format:format(x) end
  return table.concat(list, "\n") .. "\n"
end

-- ---- files ----

test("logits in each format", function()
  for _, ending in ipairs { "safetensors", "pth", "npz", "gguf" } do
    save("x." .. ending, { logits = pack.logits.value })
    agree(1, "x." .. ending, "--tol 1e-15")
    save("x." .. ending, { logits = rwkv.no_grad(function() return pack.logits.value + 1e-3 end) })
    off("x." .. ending, "", "logits: position 0")
  end
end)

test("text with a number a line is compared as float32, if nobody says otherwise", function()
  put("logits.txt", "# of a program in C\n" .. lines_of(logits, "%.9g"))
  agree(1, "logits.txt", "", "note: logits taken as [2,6,17], row-major, from [204]")
  put("logits.txt", lines_of(logits, "%.17g"))
  agree(1, "logits.txt", "--profile f64")
  put("logits.txt", lines_of(logits, "%.4f"))
  off("logits.txt", "", "logits: ")
  put("logits.txt", lines_of(logits, "%.17g") .. "end\n")
  refused("logits.txt", "", 'logits.txt: is text, not safetensors, and line 205 is "end", expected a number')
  put("logits.txt", lines_of(logits, "%.17g") .. "1\n")
  off("logits.txt", "", "logits has shape [205], expected [2,6,17]")
end)

test("several files, and a directory with a file for each tensor", function()
  local x = pack["trace.blocks.1.out.x"]
  rwkv.mkdir(at "out")
  put("out/blocks.1.out.x.npy", numpy.npy(x.value:reshape(-1):tolist(), x.shape))
  put("out/logits.txt", lines_of(logits, "%.17g"))
  agree(2, "out", "", "blocks.1.out.x")
  agree(2, "out/logits.txt out/blocks.1.out.x.npy")
  equal(rwkv.info(at "v7.safetensors").format, "safetensors")
  save("more.npz", { logits = pack.logits.value })
  refused("out more.npz", "", "more.npz: logits stands in ", "/out, too")
  rwkv.mkdir(at "empty")
  refused("empty", "", "is a directory without a model", ".npy and .txt")
end)

test("arrays that were flattened, and those whose heads were not", function()
  local v = pack.logits.value
  local x, kappa = pack["trace.blocks.0.out.x"].value, pack["trace.blocks.0.att.kappa"].value
  save("x.npz", { logits = v:reshape(12, 17), ["blocks.0.out.x"] = x:reshape(-1), ["blocks.0.att.kappa"] = kappa:reshape(2, 6, 2, -1),
    ["grad.blocks.1.att.r_k"] = pack["grad.blocks.1.att.r_k"].value:reshape(-1) })
  agree(4, "x.npz", "--tol 1e-15", "taken as [2,6,17], row-major, from [12,17]", "grad.blocks.1.att.r_k taken as [2,8], row-major, from [16]")
  save("x.npz", { logits = v:reshape(17, 12) })
  off("x.npz", "", "logits has shape [17,12], expected [2,6,17]")
  save("x.npz", { logits = v:transpose(1, 2):reshape(12, 17) }) -- time-major: the order is not guessed
  off("x.npz", "", "taken as [2,6,17]", "logits: sequence 1, position 0")
end)

test("chosen positions", function()
  local function chosen(value)
    return rwkv.concat({ value:slice(2, 1, 1), value:slice(2, 4, 4), value:slice(2, 6, 6) }, 2)
  end
  local part = chosen(pack.logits.value)
  save("x.npz", { logits = part, ["blocks.0.out.x"] = chosen(pack["trace.blocks.0.out.x"].value), ["ln_out.y"] = pack["trace.ln_out.y"].value })
  agree(3, "x.npz", "--positions 0,3,last --tol 1e-15")
  off("x.npz", "--positions 0,2,last", "blocks.0.out.x: layer 0, sequence 1, position 2, index", "its error by position  0: 0.00e+00  2: ")
  off("x.npz", "", "blocks.0.out.x has shape [2,3,16], expected [2,6,16]")
  off("x.npz", "--positions 0,3", "has shape [2,3,16], expected [2,2,16] for the 2 positions")
  for list, says in pairs { ["0,6"] = "from 0 to 5, or last, found '6'", ["3,0"] = "0 stands behind 3", ["1,1"] = "1 stands behind 1",
    [","] = "expected positions such as", ["-1"] = "found '-1'", ["last,5"] = "5 stands behind 5" } do
    refused("x.npz", "--positions " .. list, says)
  end
end)

test("a mistake is named from chosen positions alone", function()
  local port = require "tests.lua.lib.port"
  local weights = {}
  for name, e in pairs(pack) do
    if name:find "^[%a_]+%.weight$" or name:find "^blocks" or name:find "^ln_out" then
      weights[name] = e.value:reshape(-1):tolist()
      weights[name].shape = e.shape
    end
  end
  local list = {}
  for b, ids in ipairs(pack.tokens.value:tolist()) do
    local row = port(weights, "v7", { ids }, "gate-sigmoid-late").logits
    list[b] = { table.move(row, 17 + 1, 2 * 17, 1, {}), table.move(row, 5 * 17 + 1, 6 * 17, 1, {}) }
  end
  save("x.npz", { logits = rwkv.tensor(list) })
  local text, code = golden "diff %D/v7.safetensors %D/x.npz --positions 1,5"
  equal(code, 1)
  has(text, "[gate-sigmoid-late]")
end)

-- ---- names ----

test("weights and gradients under the names of fla, low-rank maps transposed", function()
  local all = rwkv.load_tensors(at "v7.safetensors")
  local map = { logits = all.logits.value, ["model.layers.0.attn.r_proj.weight.grad"] = all["grad.blocks.0.att.receptance.weight"].value,
    ["model.layers.1.attn.w_lora.lora.0.weight.grad"] = all["grad.blocks.1.att.w1"].value:transpose(1, 2),
    ["grad.model.layers.1.attn.v_lora.lora.2.bias"] = all["grad.blocks.1.att.v0"].value:reshape(-1),
    ["model.layers.1.ffn_norm.weight"] = all["blocks.1.ln2.weight"].value, ["module.lm_head.weight.grad"] = all["grad.head.weight"].value }
  save("x.pth", map)
  agree(6, "x.pth", "--tol 1e-6", "")
  map["model.layers.1.attn.w_lora.lora.0.weight.grad"] = all["grad.blocks.1.att.w1"].value
  save("x.pth", map)
  off("x.pth", "--tol 1e-6", "grad.blocks.1.att.w1 (theirs: model.layers.1.attn.w_lora.lora.0.weight.grad) has shape")
end)

test("what others call logits and the last hidden state", function()
  for _, name in ipairs { "output", "out", "lm_logits", "result_output" } do
    save("x.npz", { [name] = pack.logits.value, last_hidden_state = pack["trace.ln_out.y"].value,
      ["l_out-1"] = pack["trace.blocks.1.out.x"].value })
    agree(3, "x.npz", "--tol 1e-15", "")
  end
end)

test("--rename with rules", function()
  local g = pack["grad.blocks.1.att.receptance.weight"].value
  save("x.npz", { y = pack.logits.value, ["h.1.r.g"] = g:transpose(1, 2), ["h.0.out"] = pack["trace.blocks.0.out.x"].value,
    ["1/w/a"] = pack["trace.blocks.1.att.w"].value })
  put("rules.txt", "# ours\n\ny = logits\nh.*.r.g = grad.blocks.*.att.receptance.weight transpose   # [in,out]\r\n"
    .. "h.*.out=trace.blocks.*.out.x\n*/*/a = trace.blocks.%1.att.%2\nnever = logits\n")
  agree(4, "x.npz", "--tol 1e-15 --rename @" .. at "rules.txt")
  agree(4, "x.npz", "--tol 1e-15 --rename 'y=logits,h.*.out=trace.blocks.*.out.x,h.*.r.g=grad.blocks.*.att.receptance.weight "
    .. "transpose,*/w/a=blocks.*.att.w'")
  off("x.npz", "--rename 'y=logits,h.*.r.g=grad.blocks.*.att.receptance.weight'", "grad.blocks.1.att.receptance.weight (theirs: h.1.r.g)")
  for text, says in pairs { ["y = logits\nx\n"] = "rules.txt:2: expected THEIRS=OURS, found 'x'", ["# none\n"] = "no rule such as",
    ["y = logits turned"] = "rules.txt:1: expected 'transpose' or nothing behind 'logits', found 'turned'",
    ["y = blocks.*.x"] = "rules.txt:1: 'blocks.*.x' takes more from 'y' than its 0 *", ["h.*.out = %2"] = "takes more",
    ["y = nothing"] = "the pack has no tensor 'nothing'", ["z = logits"] = "has no tensor that a rule is for" } do
    put("rules.txt", text)
    refused("x.npz", "--rename @" .. at "rules.txt", says)
  end
  refused("x.npz", "--rename z=logits", "--rename: ", "has no tensor 'z'")
  refused("x.npz", "--rename @" .. at "none", "none: No such file")
  put("flat.txt", lines_of(logits, "%.17g"))
  refused("flat.txt", "--rename 'flat=logits transpose'", "flat has shape [204]: there is nothing to transpose")
end)

-- ---- what a port loads ----

test("--port: the weights alone in the port's format, under its names", function()
  for version, families in pairs { v4 = { "official", "hf-rwkv4" }, v6 = { "official", "fla", "transformers", "llama.cpp" },
    v7 = { "official", "fla", "llama.cpp" } } do
    for i, names in ipairs(families) do
      local ending = ({ "pth", "safetensors", "npz", "gguf" })[i % 4 + 1]
      local path = at("port." .. ending)
      local text, code = golden(("make %s --layers 2 --dim 16 --len 4 --no-sensitivity --no-gradients --no-trace %%D/p.safetensors "
        .. "--port %s --names %s"):format(version, path, names))
      assert(code == 0, text)
      local map, meta = rwkv.load_tensors(at "p.safetensors")
      local model = rwkv.load(path)
      for name, t in model:parameters() do
        equal(t:reshape(-1):tolist(), name:find "^blocks%.0%.att%.v[012]$" and t:reshape(-1):tolist() or map[name].value:reshape(-1):tolist())
      end
      local theirs, about = rwkv.load_tensors(path)
      for _, e in pairs(theirs) do equal(e.dtype, "f32") end
      assert(not theirs.tokens and not about.format and meta.format)
      equal(rwkv.info(path).family, names == "hf-rwkv4" and "transformers" or names)
      assert(not io.open(path .. ".whole"))
    end
  end
end)

test("--port of a released model, rounded weights, and what cannot be", function()
  rwkv.model({ version = "v7", layers = 1, dim = 16, head_size = 8, vocab = 17 }):save(at "released.pth")
  local text, code = golden "make --weights %D/released.pth --no-sensitivity --no-gradients %D/p.safetensors --port %D/y.gguf --names fla"
  assert(code == 0, text)
  equal(rwkv.info(at "y.gguf").family, "fla")
  assert(io.open(at "released.pth"))
  text, code = golden "make v7 --layers 2 --dtype bf16 --no-sensitivity --no-gradients %D/p.safetensors --port %D/b.pth"
  assert(code == 0, text)
  equal(rwkv.load_tensors(at "b.pth")["head.weight"].dtype, "bf16")
  for options, says in pairs { ["v4 %D/n.safetensors --port %D/n.pth --names fla"] = "fla has names for RWKV-6 and RWKV-7 only",
    ["v7 %D/n.safetensors --names fla"] = "--names fla is for the weights of --port FILE",
    ["v7 %D/n.safetensors --port %D/n.pth --names me"] = "names 'me', expected",
    ["v7 %D/n.safetensors --port %D/no/n.pth"] = "no/n.pth",
    ["v7 %D/n.safetensors --port %D/n.npz --dtype bf16"] = "NumPy has no type for",
    ["v7 %D/n.safetensors --ids %D/ids.txt"] = "expected a name that ends in .json or .i32" } do
    text, code = golden("make " .. options)
    equal(code, 2)
    has(text, says)
    assert(not io.open(at "n.safetensors") and not io.open(at "n.pth.whole") and not io.open(at "n.npz.whole"))
  end
end)

test("--ids: tokens and targets as JSON, and as raw integers", function()
  local options = "make v7 --layers 2 --len 5 --batch 2 --no-sensitivity --no-gradients --no-trace %D/p.safetensors --ids %D/ids."
  assert(select(2, golden(options .. "json")) == 0 and select(2, golden(options .. "i32")) == 0)
  local map = rwkv.load_tensors(at "p.safetensors")
  local tokens, targets = map.tokens.value:tolist(), map.targets.value:tolist()
  equal(json.decode(rwkv.read_file(at "ids.json")), { tokens = tokens, targets = targets })
  local flat = {}
  for _, rows in ipairs { tokens, targets } do for _, row in ipairs(rows) do table.move(row, 1, 5, #flat + 1, flat) end end
  equal({ ("<" .. ("i4"):rep(20)):unpack(rwkv.read_file(at "ids.i32")) }, table.move({ 81 }, 1, 1, 21, flat))
end)

if select(2, shell "python3 -c 'import gguf'") == 0 then
  test("the Python package gguf reads what is written", function()
    local text, code = golden "make v7 --layers 2 --no-sensitivity --no-gradients --no-trace %D/p.safetensors --port %D/p.gguf --names llama.cpp"
    assert(code == 0, text)
    text, code = shell(("python3 -c 'import gguf; r = gguf.GGUFReader(\"%s\"); "
      .. "print(len(r.tensors), r.fields[\"rwkv7.wkv.head_size\"].contents(), r.fields[\"general.architecture\"].contents(), "
      .. "[t.shape.tolist() for t in r.tensors if t.name == \"blk.1.time_mix_lerp_fused.weight\"])'"):format(at "p.gguf"))
    equal({ text, code }, { "62 12 rwkv7 [[24, 1, 1, 6]]\n", 0 })
  end)
else
  print "SKIPPED: what the Python package gguf reads: python3 has no gguf"
end

os.execute("rm -r " .. dir)

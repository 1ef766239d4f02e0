-- Ablations: what an arm costs against the first, other initial values, and the experiments that are made of them.
local rwkv = require "rwkv"
local arms = require "experiments.measure.arms"
local initial = require "experiments.measure.initial"
local text = require "experiments.tasks.text"
local tsv = require "rwkv.tsv"
local check = require "tests.lua.lib.check"
local test, equal, fails, shell = check.test, check.equal, check.fails, check.shell

local home = "runs/tests/arms_" .. rwkv.precision
shell("rm -rf " .. home)
rwkv.mkdir(home)

local function run_rows(label, seed, losses, accuracy, more)
  local rows = {}
  for i, loss in ipairs(losses) do
    local row = { panel = "p", version = "v7", label = label, seed = seed, part = "curve", run = label .. seed, examples = 100 * i,
      test_loss = loss, accuracy = accuracy and accuracy[i] or 0.3, parameters = 5, budget = 300, commit = "c" }
    for name, value in pairs(more or {}) do row[name] = value end
    rows[i] = row
  end
  return rows
end

local function panel(task) return { panel = "p", task = task, arms = { { label = "a" }, { label = "b" } } } end

local function joined(...)
  local all = {}
  for _, rows in ipairs { ... } do table.move(rows, 1, #rows, #all + 1, all) end
  return all
end

test("an arm costs what its last loss is above the first arm's of the same seed", function()
  local rows = arms.rows(joined(run_rows("a", 0, { 9, 2 }), run_rows("a", 1, { 9, 4 }), run_rows("a", 2, { 9, 3 }),
    run_rows("b", 0, { 1, 2.5 }), run_rows("b", 1, { 1, 4.25 }), run_rows("b", 2, { 1, 5 })), panel())
  equal(#rows, 8)
  equal({ rows[1].median, rows[1].low, rows[1].high, rows[1].difference, rows[1].runs }, { 3, 2, 4, 0, 3 })
  equal({ rows[5].median, rows[5].difference, rows[5].difference_low, rows[5].difference_high }, { 4.25, 0.5, 0.25, 2 })
  equal({ rows[8].seed, rows[8].value, rows[8].difference, rows[8].reached }, { 2, 5, 2, 1 })
end)

test("recall: the examples until more than 90 % are right, the budget where that does not happen", function()
  local rows = arms.rows(joined(run_rows("a", 0, { 1, 1 }, { 0.1, 0.95 }), run_rows("b", 0, { 1, 1, 1 }, { 0.1, 0.9, 0.9 })), panel "mqar")
  equal({ rows[1].median, rows[1].reached }, { 200, 1 })
  equal({ rows[3].median, rows[3].reached, rows[3].difference, rows[3].budget }, { 300, 0, 100, 300 })
end)

test("a run that diverged has no value, and neither has its arm", function()
  local rows = arms.rows(joined(run_rows("a", 0, { 2 }), run_rows("a", 1, { 2 }), run_rows("b", 0, { 3 }),
    run_rows("b", 1, { 1 }, nil, { diverged = 1 })), panel())
  assert(rows[4].median ~= rows[4].median and rows[4].difference ~= rows[4].difference)
  equal(rows[5].value, 3)
  assert(rows[6].value ~= rows[6].value)
end)

test("a seed that the first arm lacks has a value and no difference", function()
  local rows = arms.rows(joined(run_rows("a", 0, { 2 }), run_rows("b", 0, { 3 }), run_rows("b", 1, { 7 })), panel())
  equal({ rows[3].median, rows[3].difference, rows[3].runs }, { 5, 1, 2 })
  equal({ rows[5].value, rows[5].difference }, { 7, nil })
end)

test("where the first arm has no runs yet nothing is compared, and an arm without runs has no row", function()
  local rows = arms.rows(run_rows("b", 0, { 3 }), panel())
  equal({ #rows, rows[1].label, rows[1].median, rows[1].difference }, { 2, "b", 3, nil })
end)

test("a start or a task that there is not is named", function()
  local o, s = rwkv.experiment.options { "--scale", "quick" }, { seeds = 1 }
  o.text = "README.md"
  local function run(arm, task)
    return function()
      arms.run { name = "x", options = o, scale = s, note = "", starts = { half = print },
        panels = { { panel = "p", version = "v7", task = task, arms = { arm } } } }
    end
  end
  fails(run { label = "a", start = "hafl" }, "there is no start 'hafl', did you mean 'half'?")
  fails(run({ label = "a" }, "mqra"), "there is no task 'mqra', did you mean 'mqar'?")
end)

-- ---- initial values ----

local function fresh(version) return rwkv.model { version = version, layers = 2, dim = 32, head_size = 16, vocab = 40, seed = 3 } end

local function largest(t) return rwkv.no_grad(function() return t:abs():max():item() end) end

-- The names of what a function changes in a fresh model.
local function changed(version, f)
  local model, before, names = fresh(version), {}, {}
  for name, t in model:parameters() do before[name] = t:tolist() end
  rwkv.no_grad(function() f(model) end)
  for name, t in model:parameters() do
    if not pcall(equal, t:tolist(), before[name]) then names[name] = true end
  end
  return names, model
end

local function keys(set)
  local list = {}
  for name in pairs(set) do list[#list + 1] = name end
  table.sort(list)
  return list
end

test("only matrices that start at 0 are given other numbers, and each of them", function()
  local names = changed("v7", function(model) initial.no_zeros(model, rwkv.rng(1)) end)
  equal(keys(names), { "blocks.0.att.output.weight", "blocks.0.ffn.value.weight", "blocks.1.att.output.weight",
    "blocks.1.ffn.value.weight" })
  local of_v4 = keys((changed("v4", function(model) initial.no_zeros(model, rwkv.rng(1)) end)))
  equal(#of_v4, 2 * 5) -- key, receptance, output; receptance and value of channel mixing
end)

test("mixes of every version, and nothing else", function()
  for version, count in pairs { v4 = 2 * 5, ["v5.2"] = 2 * 6, v6 = 2 * 8, v7 = 2 * 7 } do
    local names = changed(version, function(model) initial.mixes(model, 0.5) end)
    equal(#keys(names), count)
    for name in pairs(names) do assert(name:find "mix" or name:find "maa" or name:find "x_", name) end
  end
end)

test("what constructors leave: embedding, head and the key of channel mixing", function()
  local names, model = changed("v7", function(m) initial.constructors(m, rwkv.rng(1)) end)
  equal(keys(names), { "blocks.0.ffn.key.weight", "blocks.1.ffn.key.weight", "emb.weight", "head.weight" })
  assert(largest(model:param "emb.weight") > 2)
  local head, key = largest(model:param "head.weight"), largest(model:param "blocks.1.ffn.key.weight")
  assert(head < 32 ^ -0.5 and head > 0.9 * 32 ^ -0.5 and key < 0.5 * 32 ^ -0.5 and key > 0.45 * 32 ^ -0.5)
end)

test("removal keys that start at 0 get no gradient, so that they stay there", function()
  local model = fresh "v7"
  rwkv.no_grad(function() initial.fla_early(model, rwkv.rng(1)) end)
  for _, name in ipairs { "x_r", "x_g", "k_k", "k_a", "r_k", "w0", "a0" } do
    equal(largest(model:param("blocks.1.att." .. name)), 0)
  end
  equal(largest(model:param "blocks.1.att.ln_x.weight"), 1)
  assert(largest(model:param "blocks.1.att.output.weight") > 0)
  model:loss({ 1, 2, 3, 4, 5, 6 }, { 2, 3, 4, 5, 6, 7 }):backward()
  for layer = 0, 1 do
    equal(largest(model:param(("blocks.%d.att.k_k"):format(layer)):grad()), 0)
    assert(largest(model:param(("blocks.%d.att.k_a"):format(layer)):grad()) > 0)
  end
end)

-- ---- the experiments ----

local written = home .. "/text.txt"
text.invent(written, 40000)

local function figure_of(name, set)
  local command = ("%s --threads 1 --trust experiments/%s.lua --scale small --text %s --out %s/%s --jobs 1 --set \"%s\""):format(
    check.program, name, written, home, name, set)
  local out, status = shell(command)
  if status ~= 0 then error(out) end
  local path = shell(("ls %s/%s/*.figure.tsv"):format(home, name)):match "[^\n]+"
  return tsv.read(path)
end

-- Of every panel the rows of arms, which have no seed.
local function arms_of(rows)
  local list = {}
  for _, row in ipairs(rows) do
    if row.runs then list[#list + 1] = row end
  end
  return list
end

for name, count in pairs { ddlerp = 3, v7_ablation = 5, init_ablation = 14, port_gap = 32, v7_history = 28 } do
  test(("experiments/%s.lua: every arm trains, the first of a panel costs nothing"):format(name), function()
    local set = "dim=32 head_size=16 examples=16 batch=8 tests=4 seq=16 seeds=1"
    local more = { port_gap = " words_examples=16 words_vocab=100 mqar_examples=64", v7_history = " ranks=4 mqar_examples=64 mqar_lr=3e-3" }
    local list, panels = arms_of(figure_of(name, set .. (more[name] or ""))), {}
    equal(#list, count)
    for _, row in ipairs(list) do
      assert(row.median > 0 and row.median < 1e4, row.label)
      if not panels[row.panel] then equal(row.difference, 0) end
      panels[row.panel] = true
    end
  end)
end

shell("rm -rf " .. home)

-- aviary --backend cuda bench device: what a device does, one table on the terminal and one file of each part below --out.
-- Each part is a program of its own, so that it has the device's memory, and the products that it wants, to itself.
local rwkv = require "rwkv"
local common = require "rwkv.bench.common"
local others = require "rwkv.bench.others"

local parts = {
  train = { says = "training steps", columns = { "label", "dim", "seq", "batch", "layers", "vocab", "matmul", "tokens_per_s", "step_ms",
    "device_ms", "ops", "launches", "reads", "gflops", "product_gflops", "product_fraction", "held_mb", "parameters" } },
  recurrences = { says = "wkv6 and wkv7, forward and backward", columns = { "label", "form", "batch", "heads", "seq", "head_size",
    "forward_ms", "both_ms", "ratio", "held_mb", "output_error", "gradient_error" } },
  text = { says = "reading and writing text", columns = { "label", "size", "dtype", "decode_tokens_per_s", "prefill_tokens_per_s",
    "weights_mb", "held_mb", "parameters" } },
  peers = { says = "PyTorch on the same device, in turn", columns = { "label", "dim", "seq", "batch", "vocab", "peer", "setting",
    "form", "ours", "theirs", "ratio", "rounds" } },
}

-- What runs: a part, and in what products round their factors. The recurrences of bf16 are the chunked ones.
local runs = { { "train", "full" }, { "train", "tf32" }, { "train", "bf16" }, { "recurrences", "full" }, { "recurrences", "bf16" },
  { "text", "full" }, { "peers", "full" } }

local function shown(row, columns)
  local words = {}
  for _, name in ipairs(columns) do
    local value = row[name]
    if math.type(value) == "float" then value = ("%.4g"):format(value) end
    if value ~= nil then words[#words + 1] = name == "label" and ("%-5s"):format(value) or ("%s=%s"):format(name, value) end
  end
  return table.concat(words, " ")
end

-- The rows that a part prints: lines "label=v7 dim=64 ..", as common.line has them.
local function rows_of(out)
  local rows = {}
  for line in out:gmatch "[^\n]+" do
    if line:find "^label=" then
      local text = {} -- in quotes: it has spaces
      rows[#rows + 1] = common.fields((line:gsub('([%w_]+)="([^"]*)"', function(name, value) text[name] = value return "" end)))
      for name, value in pairs(text) do rows[#rows][name] = value end
    end
  end
  return rows
end

-- Adds the rows of a part with such products; false if its program failed.
local function run_part(o, name, matmul, all)
  local line = common.command_with({ ["--matmul"] = matmul }, "bench", "device", "--part", name, "--parts", o.parts, "--scale", o.scale,
    "--python", o.python, "--out", o.out, "--tries", o.tries)
  print(("\n%s, products in %s"):format(parts[name].says, matmul))
  io.stdout:flush()
  local why, ok, found = common.run(line)
  local out = ok and why or found
  for text in out:gmatch "[^\n]+" do if text:find "^SKIPPED" then print(text) end end
  if not ok then print(("SKIPPED: %s: %s"):format(line, why)) end
  for _, row in ipairs(rows_of(out)) do
    row.command = line
    all[#all + 1] = row
    print(shown(row, parts[name].columns))
  end
  return ok
end

return function(arguments)
  local o = common.options(arguments, { scale = "quick", out = "runs/bench", parts = "train recurrences text peers", part = "",
    python = os.getenv "PYTHON" or "python3", tries = others.most })
  if not ({ smoke = true, quick = true, full = true })[o.scale] then
    common.fail("option --scale: expected smoke, quick or full, found '%s'", o.scale)
  end
  if not rwkv.device() then common.fail "the CPU computes; expected `aviary --backend cuda bench device`" end
  if o.part ~= "" then
    if not parts[o.part] then common.fail("option --part: expected train, recurrences, text or peers, found '%s'", o.part) end
    o.peers = (" " .. o.parts .. " "):find(" peers ", 1, true) ~= nil
    return require("rwkv.bench.device." .. o.part)(o)
  end
  for name in o.parts:gmatch "%S+" do
    if not parts[name] then common.fail("option --parts: expected train, recurrences, text or peers, found '%s'", name) end
  end
  local command, all, skipped = common.command("bench", "device", table.unpack(arguments)), {}, 0
  print(rwkv.device())
  for _, run in ipairs(runs) do
    local name, matmul = run[1], run[2]
    if (" " .. o.parts .. " "):find(" " .. name .. " ", 1, true) and (matmul == "full" or rwkv.precision == "float32") then
      all[name] = all[name] or {}
      if not run_part(o, name, matmul, all[name]) then skipped = skipped + 1 end
    end
  end
  for name, rows in pairs(all) do
    if #rows > 0 then common.write(("%s/bench_device_%s.tsv"):format(o.out, name), parts[name].columns, rows, rwkv.threads(), command) end
  end
  print(common.line { { "failed", "%d", skipped } })
end

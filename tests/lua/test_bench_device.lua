-- aviary bench device, as small as it goes, on the device that this processor plays (tests/cuda/on_host.h). No time is judged.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local tsv = require "rwkv.tsv"
local test, equal, has = check.test, check.equal, check.has

local tree = check.program:match "^(.*)/[^/]*$"
if not tree:find "%d%d$" then tree = "build/" .. (rwkv.precision == "float64" and "f64" or "f32") end -- ./aviary is a copy
local module = ("./%s/tests/on_host.so"):format(tree)
local bench = ("%s --backend %s bench "):format(check.program, module)
local out_folder = "runs/tests/bench_device"
check.shell("rm -rf " .. out_folder)

local function rows_of(part, count)
  local rows = assert(tsv.read(("%s/bench_device_%s.tsv"):format(out_folder, part)), part)
  assert(#rows >= count, part)
  return rows
end

test("every part, at the smallest scale", function()
  local out, status = check.shell(("%sdevice --scale smoke --parts 'train recurrences text' --out %s"):format(bench, out_folder))
  if status ~= 0 or not out:find "failed=0" then error(out) end
  local single = rwkv.precision == "float32"
  for _, row in ipairs(rows_of("train", single and 9 or 3)) do
    assert(row.ops > 50 and row.launches >= row.ops / 2 and row.held_mb > 0 and row.tokens_per_s > 0)
  end
  for _, row in ipairs(rows_of("recurrences", single and 4 or 2)) do
    local most = row.form == "chunks_bf16" and 3e-2 or single and 1e-5 or 1e-12
    assert(row.output_error < most and row.gradient_error < most, out)
  end
  for _, row in ipairs(rows_of("text", 2)) do assert(row.decode_tokens_per_s > 0 and row.prefill_tokens_per_s > 0) end
end)

test("what is wrong with a call is said", function()
  for words, part in pairs { ["--scale huge"] = "expected smoke, quick or full", ["--parts trains"] = "found 'trains'",
    ["--part nothing"] = "found 'nothing'", ["7"] = "'7' is no option" } do
    local out, status = check.shell(bench .. "device " .. words)
    has(out, part)
    equal(status, 1)
  end
  local out, status = check.shell(check.program .. " bench device")
  has(out, "the CPU computes", "aviary --backend cuda bench device")
  equal(status, 1)
end)

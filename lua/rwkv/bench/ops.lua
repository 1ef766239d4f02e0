-- aviary bench ops: every operation of the engine, the reference beside the fast kernel. The table is that of the test
-- which compares them, tests/test_fast.c: it knows all of them.
local rwkv = require "rwkv"
local common = require "rwkv.bench.common"
local others = require "rwkv.bench.others"
local median = require "rwkv.statistics".median

local function find_test()
  local directory = common.program():match "^(.*)/" or "."
  for _, place in ipairs { "/tests/test_fast", "/build/f32/tests/test_fast" } do
    local file = io.open(directory .. place)
    if file then
      file:close()
      return directory .. place
    end
  end
  common.fail "the table is made by the test program build/f32/tests/test_fast; `make bench` builds it"
end

return function(arguments)
  local o = common.options(arguments, { threads = rwkv.threads(), tries = others.most, tsv = "" })
  if rwkv.matmul() ~= "full" then common.fail("the table is of products in full; leave --matmul %s out", rwkv.matmul()) end
  local command = common.quote(find_test()) .. " --bench " .. o.threads
  io.stderr:write "ops        half a minute\n"
  local quiet, out, ok = others.measure(o.tries, function() return common.run(command) end)
  if not ok then common.fail("%s: %s", command, out) end
  io.write(out)
  local rows, ratios = {}, {}
  for line in out:gmatch "[^\n]+" do
    local op, shape, ref, fast = line:match "^(%S+)%s+(.-)%s+([%d.]+)%s+([%d.]+)%s+[%d.]+$"
    if op then
      rows[#rows + 1] = { label = op, shape = shape, ref_us = tonumber(ref), fast_us = tonumber(fast), ratio = ref / fast,
        others = quiet.others, tries = quiet.tries }
      ratios[#ratios + 1] = ref / fast
    end
  end
  if #rows == 0 then common.fail("%s: no line of a table in its output", command) end
  if o.tsv ~= "" then
    common.write(o.tsv, { "label", "shape", "ref_us", "fast_us", "ratio" }, rows, o.threads, command)
  end
  common.say_others(quiet)
  print(common.line { { "ops", "%d", #rows }, { "median_ratio", "%.2f", median(ratios) } })
end

-- What the benchmarks share: their options, the facts of the machine, running another program.
local rwkv = require "rwkv"
local arithmetic = require "rwkv.arithmetic"
local contents = require "rwkv.contents"
local provenance = require "rwkv.provenance"
local nearest = require "rwkv.nearest"
local others = require "rwkv.bench.others"
local tsv = require "rwkv.tsv"

local common = {}

-- ---- what is wrong with a call: a message without a traceback (lua/rwkv/command.lua) ----

common.Failure = { __tostring = function(f) return f.message end }

function common.fail(...)
  error(setmetatable({ message = string.format(...) }, common.Failure), 0)
end

-- The options of a benchmark, over its defaults. A number stays positive, and whole if its default is whole.
function common.options(arguments, defaults)
  local ok, o = pcall(rwkv.options, arguments, defaults)
  if not ok then common.fail("%s", o) end
  if o[1] then common.fail("'%s' is no option; an option begins with --", o[1]) end
  for name, default in pairs(defaults) do
    local value, option = o[name], name:gsub("_", "-")
    if math.type(default) == "integer" then
      o[name] = math.tointeger(value)
      if not o[name] or o[name] < 1 then
        common.fail("option --%s: expected a whole number of at least 1, found %s", option, value)
      end
    elseif type(default) == "number" and not (value >= 0 and value < math.huge) then
      common.fail("option --%s: expected a number of at least 0, found %s", option, value)
    end
  end
  if o.version then common.check_version(o.version) end
  if o.threads then
    if o.threads > 256 then common.fail("option --threads: expected at most 256, found %d", o.threads) end
    rwkv.threads(o.threads)
  end
  return o
end

function common.check_version(version)
  local known = rwkv.versions()
  for _, name in ipairs(known) do if name == version then return end end
  common.fail("there is no version '%s'%s", version, nearest.listed(version, known))
end

-- ---- numbers ----

function common.random_tokens(batch, seq, vocab)
  local tokens, rng = {}, rwkv.rng(1)
  for b = 1, batch do
    tokens[b] = {}
    for t = 1, seq do tokens[b][t] = rng:integer(0, vocab - 1) end
  end
  return rwkv.tokens(tokens)
end

-- A function that takes a training step (loss, backward, optimizer) and returns its seconds.
function common.stepper(model, opt, inputs, targets)
  return function()
    local start = rwkv.time()
    local loss = model:loss(inputs, targets)
    opt:zero_grad()
    loss:backward()
    opt:step()
    if rwkv.device() then loss:item() end -- a device goes on by itself until somebody reads
    return rwkv.time() - start
  end
end

-- Of a head: "fast kernels, products in bf16, float32, 2 threads"; on a device its name in place of the threads.
function common.computed_by(threads)
  return rwkv.device() and arithmetic.text() or ("%s, %d threads"):format(arithmetic.text(), threads)
end

-- "a=1 b=0.5" of { { "a", "%d", 1 }, { "b", "%.1f", 0.5 } }
function common.line(fields)
  local parts = {}
  for i, f in ipairs(fields) do parts[i] = ("%s=" .. f[2]):format(f[1], f[3]) end
  return table.concat(parts, " ")
end

-- How quiet it was while a row was measured: a line of fields, and one of words where it was disturbed.
function common.say_others(row)
  print(common.line(others.fields(row)))
  if others.disturbed(row) then print(others.words(row)) end
end

-- The fields of such lines in a text: names and numbers.
function common.fields(text)
  local fields = {}
  for name, value in text:gmatch "([%w_]+)=(%S+)" do fields[name] = tonumber(value) or value end
  return fields
end

-- ---- the machine ----

-- Multiplications and additions a second of a product of two 2048x2048 matrices.
function common.gemm_rate(threads) return rwkv.machine_rates(threads, "gemm").gemm end

function common.cpu()
  for line in io.lines "/proc/cpuinfo" do
    local name = line:match "^model name%s*:%s*(.+)$"
    if name then return name end
  end
  return "unknown"
end

-- Memory of this program in bytes; 0 where the system does not say.
local function memory(name)
  local text = contents "/proc/self/status" or ""
  return 1024 * (tonumber(text:match(name .. ":%s*(%d+)")) or 0)
end
function common.memory_now() return memory "VmRSS" end
function common.peak_memory() return memory "VmHWM" end -- the most that it has held

-- ---- other programs ----

-- The program that runs this.
function common.program()
  local first = 0
  while arg[first - 1] do first = first - 1 end
  return arg[first]
end

-- The options of the program itself as it was called, `--backend cuda` and the like, with those in `set` as they are there.
function common.program_options(set)
  local first, words = 0, {}
  while arg[first - 1] do first = first - 1 end
  local i = first + 1
  while i < 0 do
    if set[arg[i]] then i = i + 1 else words[#words + 1] = arg[i] end
    i = i + 1
  end
  for option, value in pairs(set) do words[#words + 1], words[#words + 2] = option, value end
  return words
end

function common.quote(text)
  if text:find "^[%w_./:=+-]+$" then return text end
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- Runs a command: its output and true, or the last line of what it said on the error output, false and its output.
function common.run(command)
  local errors = os.tmpname()
  local pipe = io.popen(("{ %s\n} 2>%s"):format(command, errors))
  local out = pipe:read "a"
  local ok = pipe:close()
  local file = io.open(errors)
  local said = file:read "a"
  file:close()
  os.remove(errors)
  if ok then return out, true end
  return (said:gsub("%s+$", ""):match "[^\n]*$"), false, out
end

-- "aviary --matmul bf16 bench train --dim 64": the program itself as it was called, with options in their order.
function common.command(...) return common.command_with({}, ...) end

-- The same, with the program's options in `set` as they are there.
function common.command_with(set, ...)
  local words = { common.program(), table.unpack(common.program_options(set)) }
  for _, word in ipairs { ... } do words[#words + 1] = word end
  for i, word in ipairs(words) do words[i] = common.quote(tostring(word)) end
  return table.concat(words, " ")
end

-- ---- tables ----

-- A file of rows, each of which also says on what it was measured, how, and what share of the machine others took meanwhile; `command` where a row has none of its own.
function common.write(path, columns, rows, threads, command)
  local directory = path:match "^(.+)/[^/]*$"
  if directory then rwkv.mkdir(directory) end
  columns = { table.unpack(columns) }
  for _, name in ipairs { "others", "tries", "threads", "commit", "cpu", "command" } do columns[#columns + 1] = name end
  local cpu = common.cpu()
  for _, row in ipairs(rows) do
    row.threads, row.commit, row.cpu, row.command = row.threads or threads, provenance.commit(), cpu, row.command or command
  end
  tsv.write(path, columns, rows, { ("%s (commit %s, %s; %d threads; %s)"):format(command, provenance.commit(),
    arithmetic.text(), threads, cpu) })
end

return common

-- aviary bench scaling: time and memory against the length T of one sequence, of RWKV beside softmax attention in the same
-- model. "train": a forward and a backward pass over T tokens, and the memory that it takes. "read": forward only, in
-- pieces, with the state carried on; the time of a token between T/2 and T, and the memory of the program at T.
-- The last line of each: exponents of the time of a text in T (1 is linear, 2 quadratic).
local rwkv = require "rwkv"
local common = require "rwkv.bench.common"
local others = require "rwkv.bench.others"
local median = require "rwkv.statistics".median

local function make_model(o)
  local hooks = o.versions == "attention" and { time_mix = "attention", ffn_shift = "none" } or nil
  return rwkv.model { version = hooks and "v7" or o.versions, layers = o.layers, dim = o.dim,
    head_size = math.min(64, o.dim), vocab = o.vocab, ctx = o.to, seed = 1, hooks = hooks }
end

-- Points { T =, seconds = of a token, bytes =, others = }, for T doubling as long as time and memory permit. measure(T) -> seconds a
-- token, seconds in all, bytes.
local function lengths(mode, o, measure)
  local points, T = {}, o.from
  local bar = rwkv.progress(mode, o.to, "tokens")
  while T <= o.to do
    local quiet, each, whole, bytes = others.measure(1, function() return measure(T) end)
    points[#points + 1] = { T = T, seconds = each, bytes = bytes, others = quiet.others }
    bar:update(T, ("%.3f us a token"):format(1e6 * each))
    if whole > o.seconds or 2 * bytes > o.memory * 2 ^ 30 then break end
    T = 2 * T
  end
  if rwkv.is_terminal() then bar:finish() end
  return points
end

-- The points of a mode; all lengths again while one is disturbed, since a text is read once. Of each length the quietest try counts,
-- but for the memory, which is that of the first. begin() -> measure of `lengths`.
local function quietest(mode, o, model, begin)
  local points = lengths(mode, o, begin())
  for try = 1, o.tries do
    local disturbed = false
    for i, new in ipairs(try > 1 and lengths(mode, o, begin()) or {}) do
      local p = points[i]
      if p and new.others < p.others then p.seconds, p.others = new.seconds, new.others end
    end
    for _, p in ipairs(points) do
      p.tries = try
      disturbed = disturbed or others.disturbed(p)
    end
    if not disturbed then break end
  end
  for _, p in ipairs(points) do
    print(common.line { { "mode", "%s", mode }, { "T", "%d", p.T }, { "us_per_token", "%.3f", 1e6 * p.seconds },
      { "memory_mb", "%.2f", p.bytes / 2 ^ 20 }, { "state_floats", "%d", model:state_floats(p.T) }, table.unpack(others.fields(p)) })
  end
  return points
end

-- Of the time of a text of T tokens, from an eighth of the longest T to the longest.
local function exponent(points)
  local last, first = points[#points], points[math.max(1, #points - 3)]
  if first == last then return 0 / 0 end
  return 1 + math.log(last.seconds / first.seconds) / math.log(last.T / first.T)
end

local function one(o)
  local model = make_model(o)
  local rng = rwkv.rng(1)
  local function text(n)
    local list = {}
    for i = 1, n do list[i] = rng:integer(0, o.vocab - 1) end
    return rwkv.tokens { list }
  end

  local ends = {}
  for mode in o.modes:gmatch "%S+" do
    local points
    if mode == "read" then
      points = quietest(mode, o, model, function()
        local state, read = model:state(1), 0
        rwkv.no_grad(function() model:forward(text(o.piece), model:state(1)) end) -- the first one makes the kernels
        return function(T)
          local start, from = rwkv.time(), read
          while read < T do
            local n = math.min(o.piece, T - read)
            rwkv.no_grad(function() model:forward(text(n), state) end)
            read = read + n
          end
          local seconds = rwkv.time() - start
          return seconds / (T - from), seconds, common.memory_now()
        end
      end)
    elseif mode == "train" then
      points = quietest(mode, o, model, function() return function(T)
        local inputs, targets, times, start = text(T), text(T), {}, rwkv.time()
        local bytes
        repeat
          local begin = rwkv.time()
          local loss = model:loss(inputs, targets)
          loss:backward()
          bytes = rwkv.tape_bytes()
          model:zero_grad()
          rwkv.end_step()
          times[#times + 1] = rwkv.time() - begin
        until #times >= 4 and rwkv.time() - start > 0.3 or #times >= 2 and rwkv.time() - start > o.seconds
        table.remove(times, 1) -- the first one gets the memory from the system
        return median(times) / T, median(times), bytes
      end end)
    else
      common.fail("option --modes: expected read, train or both, found '%s'", mode)
    end
    ends[#ends + 1] = { mode .. "_exponent", "%.2f", exponent(points) }
  end
  if #ends == 0 then common.fail "option --modes: there is none in it" end
  print(common.line(ends))
end

local columns = { "label", "mode", "T", "us_per_token", "memory_mb", "state_floats", "dim", "layers", "piece" }

return function(arguments)
  local o = common.options(arguments, { versions = "v4 v6 v7 attention", modes = "read train", dim = 64, layers = 2, vocab = 256, from = 256,
    to = 65536, piece = 256, seconds = 10., memory = 8., threads = rwkv.threads(), tries = others.most, tsv = "" })
  local names = {}
  for name in o.versions:gmatch "%S+" do
    if name ~= "attention" then common.check_version(name) end
    names[#names + 1] = name
  end
  if #names == 0 then common.fail "option --versions: there is none in it" end
  if o.from > o.to then common.fail("option --from: %d is above --to %d", o.from, o.to) end
  if #names == 1 and o.tsv == "" then return one(o) end
  local rows, ends = {}, {}
  print(("%-10s %-6s %9s %14s %12s %14s"):format("", "", "T", "us per token", "memory MB", "state floats"))
  for i, name in ipairs(names) do
    ends[i] = ("%-10s"):format(name)
    for mode in o.modes:gmatch "%S+" do -- each in a program of its own: its memory is its own
      local command = common.command("bench", "scaling", "--versions", name, "--modes", mode, "--dim", o.dim, "--layers",
        o.layers, "--vocab", o.vocab, "--from", o.from, "--to", o.to, "--piece", o.piece, "--seconds", o.seconds, "--memory",
        o.memory, "--threads", o.threads, "--tries", o.tries)
      io.stderr:write(("scaling    %s %s, version %d of %d\n"):format(name, mode, i, #names))
      local out, ok = common.run(command)
      if not ok then common.fail("%s: %s", command, out) end
      for line in out:gmatch "mode=[^\n]+" do
        local row = common.fields(line)
        print((("%-10s %-6s %9d %14.3f %12.2f %14d  %s"):format(name, row.mode, row.T, row.us_per_token, row.memory_mb,
          row.state_floats, others.words(row)):gsub(" +$", "")))
        row.label, row.command, row.dim, row.layers, row.piece = name, command, o.dim, o.layers, o.piece
        rows[#rows + 1] = row
      end
      ends[i] = ends[i] .. " " .. out:match "[^\n]*_exponent=[^\n]*"
    end
  end
  print(table.concat(ends, "\n"))
  if o.tsv ~= "" then
    common.write(o.tsv, columns, rows, o.threads, common.command("bench", "scaling", table.unpack(arguments)))
  end
end

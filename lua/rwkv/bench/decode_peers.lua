-- Decoding beside other programs, in turn: `aviary bench decode`, then the same size, precision and threads by a peer.
local rwkv = require "rwkv"
local common = require "rwkv.bench.common"
local others = require "rwkv.bench.others"
local median = require "rwkv.statistics".median
local peer = require "rwkv.bench.peer"

-- variable: of the environment, where the user says where it is
local peers = {
  { name = "rwkv.cpp", variable = "RWKV_CPP", path_of = "library", script = "rwkv_cpp.py", versions = { "v4", "v7" },
    dtypes = { "f32", "f16" } },
  { name = "llama.cpp", variable = "LLAMA_BENCH", path_of = "program llama-bench", script = "llama_cpp.py", versions = { "v7" },
    dtypes = { "f32", "f16", "bf16" }, also = "--aviary " .. common.quote(common.program()) },
}

local columns = { "label", "size", "dtype", "peer", "ours", "theirs", "ratio", "rounds" }

local tokens = 64

-- Rates of both and their ratios, by round. Ours is a program of its own, told not to repeat itself.
local function in_turn(own, their, rounds)
  local ours, theirs, ratios = {}, {}, {}
  for round = 1, rounds do
    local out, ok = common.run(own)
    ours[round] = ok and common.fields(out).tokens_per_s or common.fail("%s: %s", own, out)
    theirs[round] = 1 / their:steps(tokens)
    ratios[round] = ours[round] / theirs[round]
  end
  return ours, theirs, ratios
end

-- A row; nil and the reason if the peer does not run.
local function measure(p, q, python, rounds, tries)
  local options = ("--version %s --size %s --dtype %s --threads %d"):format(q.version, q.size, q.dtype, q.threads)
  local own = ("%s decode %s -n %d --tries 1"):format(common.command "bench", options, tokens)
  local their, why = peer.start(peer.command(python, p.script, options, p.also))
  if not their then return nil, why end
  local quiet, ours, theirs, ratios = others.measure(tries, function() return in_turn(own, their, rounds) end)
  their:close()
  return { label = q.version, size = q.size, dtype = q.dtype, peer = p.name, ours = median(ours), theirs = median(theirs),
    ratio = median(ratios), rounds = rounds, threads = q.threads, others = quiet.others, tries = quiet.tries, command = their.command }
end

-- All that this peer has, each on one thread and on so many.
local function cases(p, size, threads)
  local list = {}
  for _, version in ipairs(p.versions) do
    for _, dtype in ipairs(p.dtypes) do
      for _, n in ipairs(threads > 1 and { 1, threads } or { 1 }) do
        list[#list + 1] = { version = version, dtype = dtype, size = size, threads = n }
      end
    end
  end
  return list
end

return function(o, scale, python, command)
  local rows = {}
  for _, p in ipairs(peers) do
    if not os.getenv(p.variable) then
      print(("decode: %s is absent (%s=the path of its %s)"):format(p.name, p.variable, p.path_of))
    end
    local list = os.getenv(p.variable) and cases(p, scale.size, o.threads) or {}
    local bar = #list > 0 and rwkv.progress("decode", #list, "cases")
    for i, q in ipairs(list) do
      local what = ("%s %s, %d thread%s"):format(q.version, q.dtype, q.threads, q.threads > 1 and "s" or "")
      bar:update(i - 1, p.name .. " " .. what)
      local row, why = measure(p, q, python, scale.rounds, o.tries)
      rows[#rows + 1] = row
      if rwkv.is_terminal() then io.stderr:write "\r\27[K" end
      print(row and ("decode %s: aviary %.1f   %s %.1f tokens/s   %.2f times"):format(what, row.ours, p.name, row.theirs, row.ratio)
        or ("decode %s: %s: skipped: %s"):format(what, p.name, why))
      if row and others.disturbed(row) then print("     " .. others.words(row)) end
      io.stdout:flush()
      common.write(o.out .. "/bench_peers_decode.tsv", columns, rows, o.threads, command)
    end
    if bar then bar:clear() end
  end
end

-- aviary bench peers: what a user would choose instead, in the same run and in turn: PyTorch for training, rwkv.cpp and
-- llama.cpp for decoding. PyTorch stands in the table as a user gets it and tuned, each with the faster of its two forms.
local rwkv = require "rwkv"
local common = require "rwkv.bench.common"
local decode_peers = require "rwkv.bench.decode_peers"
local others = require "rwkv.bench.others"
local peer = require "rwkv.bench.peer"
local trainer = require "rwkv.bench.trainer"
local versions = require "rwkv.versions"

-- A size takes half a minute for each Python, those of large T longer.
local scales = {
  smoke = { versions = "v7", dims = { 32 }, lengths = { 32 }, rounds = 3, turn = 0, vocab = 64, size = "tiny" },
  quick = { versions = "v4 v6 v7", dims = { 64, 256 }, lengths = { 64 }, rounds = 3, turn = 0.5, vocab = 8192,
    size = "0.1b" },
  full = { versions = "v4 v6 v7", dims = { 64, 128, 256, 512 }, lengths = { 64, 256, 512 }, rounds = 5, turn = 1,
    vocab = 8192, size = "0.1b" },
}

local function split(text)
  local list = {}
  for part in text:gmatch "[^:]+" do list[#list + 1] = part end
  return list
end

local function torch_command(python, q, form, tuned)
  local words = {}
  for i, name in ipairs { "version", "dim", "layers", "vocab", "pairs", "seq", "batch", "threads" } do
    words[i] = ("--%s %s"):format(name, q[name])
  end
  return peer.command(python, "torch_rwkv.py", table.concat(words, " "), "--form", form, tuned and "--tuned" or nil)
end

-- Of the two forms the faster, alive: each takes a few steps first.
local function faster(python, q, tuned)
  local best, best_seconds, why
  local chunks = versions.of(q.version).chunks
  for _, form in ipairs(chunks and { "chunk", "loop" } or { "loop" }) do
    local p, problem = peer.start(torch_command(python, q, form, tuned))
    why = why or problem
    local seconds = p and (chunks and p:steps(3) or 0)
    if seconds and (not best or seconds < best_seconds) then
      if best then best:close() end
      best, best_seconds = p, seconds
    elseif p then
      p:close()
    end
  end
  return best, why
end

-- One size: rows, one for each peer; all take a turn in every round.
local function measure(q, pythons, scale, absent, tries)
  local peers = {}
  for _, python in ipairs(pythons) do
    for _, tuned in ipairs { false, true } do
      local p, why
      if not absent[python] then
        p, why = faster(python, q, tuned)
        if not p then
          local never = why:find "has no torch" or why:find "No such file" or why:find "not found"
          absent[python] = never and why
          print(("%s%s: %s: %s"):format(python, tuned and ", tuned" or "", never and "absent" or "skipped at this size", why))
        end
      end
      if p then p.tuned = tuned end
      peers[#peers + 1] = p
    end
  end
  local step, count = trainer(q)
  local quiet, ours, results = peer.take_turns(step, count, peers, scale, { most = 50, first = 1, tries = tries })
  local rows = {}
  for i, p in ipairs(peers) do
    rows[i] = { label = q.version, dim = q.dim, seq = q.seq, batch = q.batch, pairs = q.pairs, layers = q.layers, vocab = q.vocab,
      peer = "torch " .. tostring(p.facts.torch):gsub("%+.*", ""), setting = p.tuned and "tuned" or "as it is", form = p.about, ours = ours,
      theirs = results[i].theirs, ratio = results[i].ratio, rounds = scale.rounds,
      parameters = count.parameters, state_floats = count.state_floats, threads = q.threads, command = p.command }
  end
  if #peers == 0 then
    rows[1] = { label = q.version, dim = q.dim, seq = q.seq, batch = q.batch, pairs = q.pairs, layers = q.layers, vocab = q.vocab,
      peer = "absent", ours = ours, rounds = scale.rounds, parameters = count.parameters, state_floats = count.state_floats,
      threads = q.threads }
  end
  for _, row in ipairs(rows) do row.others, row.tries = quiet.others, quiet.tries end
  return rows
end

local function print_row(r)
  print(("%-4s d=%-4d T=%-4d aviary %8.0f   %s"):format(r.label, r.dim, r.seq, r.ours, r.ratio
    and ("%-12s %-9s %8.0f tokens/s   %5.2f times   (%s)"):format(r.peer, r.setting, r.theirs, r.ratio, r.form)
    or "PyTorch is absent"))
  if others.disturbed(r) then print("     " .. others.words(r)) end
  io.stdout:flush()
end

local columns = { "label", "dim", "seq", "batch", "pairs", "layers", "vocab", "peer", "setting", "ours", "theirs", "ratio",
  "rounds", "form", "parameters", "state_floats" }

local function training(o, scale, command)
  local rows, absent, jobs = {}, {}, {}
  for version in scale.versions:gmatch "%S+" do
    for _, dim in ipairs(scale.dims) do
      for _, seq in ipairs(scale.lengths) do
        jobs[#jobs + 1] = { version = version, dim = dim, seq = seq, batch = math.max(4, 4096 // seq), pairs = seq // 8,
          layers = 2, vocab = scale.vocab, threads = o.threads }
      end
    end
  end
  local bar = rwkv.progress("peers", #jobs, "sizes")
  for i, q in ipairs(jobs) do
    bar:update(i - 1, ("%s d=%d T=%d"):format(q.version, q.dim, q.seq))
    local new = measure(q, split(o.python), scale, absent, o.tries)
    collectgarbage()
    if rwkv.is_terminal() then io.stderr:write "\r\27[K" end
    for _, row in ipairs(new) do
      rows[#rows + 1] = row
      print_row(row)
    end
    common.write(o.out .. "/bench_peers.tsv", columns, rows, o.threads, command)
  end
  bar:finish(("%d sizes"):format(#jobs))
  return rows
end

-- Whether the peers compute the same: logits, loss and every gradient in float64.
local function check(o)
  local good, file = true, os.tmpname()
  for _, version in ipairs { "v4", "v5.2", "v6", "v7" } do
    local out, ok = common.run(("%s --double --trust %s --version %s --out %s"):format(common.quote(common.program()),
      peer.script "check.lua", version, file))
    if not ok then common.fail("check.lua: %s", out) end
    for _, python in ipairs(split(o.python)) do
      local why, table_text
      out, ok, table_text = common.run(peer.command(python, "torch_rwkv.py", "--threads 1 --check", file))
      if not ok then why, out = out, table_text end
      if ok or out ~= "" then -- without a line of the table it did not even begin
        good = good and ok
        print((out:gsub("%s+$", "")))
      else
        print(("%s: absent: %s"):format(python, why))
      end
    end
  end
  os.remove(file)
  print(good and "same=1" or "same=0")
  if not good then common.fail "a peer computes something else" end
end

-- "64 128" -> { 64, 128 }
local function numbers(o, name)
  local list = {}
  for word in tostring(o[name]):gmatch "%S+" do
    list[#list + 1] = math.tointeger(tonumber(word))
      or common.fail("option --%s: expected whole numbers, found '%s'", name, word)
  end
  return list
end

return function(arguments)
  local o = common.options(arguments, { scale = "quick", threads = rwkv.threads(), out = "runs/bench", tries = others.most,
    python = os.getenv "PYTHON" or "python3", check = false, versions = "", dims = "", lengths = "" })
  local scale = scales[o.scale] or common.fail("option --scale: expected smoke, quick or full, found '%s'", o.scale)
  if o.versions ~= "" then scale.versions = o.versions end
  for version in scale.versions:gmatch "%S+" do
    if not (" v4 v5.2 v6 v7 "):find(" " .. version .. " ", 1, true) then
      common.fail("option --versions: PyTorch has v4 v5.2 v6 v7, found '%s'", version)
    end
  end
  if o.dims ~= "" then scale.dims = numbers(o, "dims") end
  if o.lengths ~= "" then scale.lengths = numbers(o, "lengths") end
  if #split(o.python) == 0 then common.fail "option --python: expected the path of a Python, or several with ':' between" end
  if o.check then return check(o) end
  local command = common.command("bench", "peers", table.unpack(arguments))
  local rows, best = training(o, scale, command), {}
  decode_peers(o, scale, split(o.python)[1], command)
  for _, setting in ipairs { "as it is", "tuned" } do
    best[setting] = math.huge
    for _, r in ipairs(rows) do
      if r.setting == setting then best[setting] = math.min(best[setting], r.ratio) end
    end
  end
  print(common.line { { "sizes", "%d", #rows }, { "least_ratio", "%.2f", best["as it is"] },
    { "least_ratio_tuned", "%.2f", best.tuned } })
end

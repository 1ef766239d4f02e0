-- PyTorch on the same device, with the straightforward model of experiments/peers: as it is written, compiled, and with the
-- kernels of fla where that is installed. All become ready side by side, which takes torch.compile its time, and then take
-- turns within each round; the ratio is the median over rounds of the ratio within a round.
local common = require "rwkv.bench.common"
local median = require "rwkv.statistics".median
local peer = require "rwkv.bench.peer"
local trainer = require "rwkv.bench.trainer"

local scales = {
  smoke = { sizes = { { "v7", 32, 32 } }, tokens = 64, vocab = 64, rounds = 1, turn = 0, wait = 60, device = "cpu" },
  quick = { sizes = { { "v4", 64, 64 }, { "v6", 64, 64 }, { "v7", 64, 64 }, { "v6", 256, 512 }, { "v7", 256, 512 } }, tokens = 16384,
    vocab = 8192, rounds = 3, turn = 0.2, wait = 90, device = "cuda" },
  full = { sizes = { { "v4", 64, 64 }, { "v4", 256, 64 }, { "v6", 64, 64 }, { "v6", 64, 512 }, { "v6", 256, 64 }, { "v6", 256, 512 },
    { "v7", 64, 64 }, { "v7", 64, 512 }, { "v7", 256, 64 }, { "v7", 256, 512 }, { "v7", 512, 512 } }, tokens = 16384, vocab = 8192,
    rounds = 5, turn = 1, wait = 600, device = "cuda" },
}

local settings = { { name = "eager" }, { name = "compiled", option = "--compile" }, { name = "fla", option = "--form fla" } }

local function begin(o, scale, q)
  local peers, form = {}, q.version == "v4" and "loop" or "chunk"
  for _, setting in ipairs(settings) do
    if not (setting.name == "fla" and q.version == "v4") then
      local words = { "--threads 1", "--device", scale.device, "--form", form, "--wait", scale.wait }
      for _, name in ipairs { "version", "dim", "layers", "vocab", "pairs", "seq", "batch" } do
        words[#words + 1] = ("--%s %s"):format(name, q[name])
      end
      words[#words + 1] = setting.option -- a later --form wins
      local p = peer.begin(peer.command(o.python, "torch_rwkv.py", table.concat(words, " ")))
      p.setting = setting.name
      peers[#peers + 1] = p
    end
  end
  return peers
end

local function ready(q, peers)
  local here = {}
  for _, p in ipairs(peers) do
    local ok, why = p:ready()
    if ok then here[#here + 1] = p
    else print(("SKIPPED: %s d=%d T=%d, %s: %s"):format(q.version, q.dim, q.seq, p.setting, why)) end
  end
  return here
end

local function measure(scale, q, peers)
  local step, count = trainer(q)
  for _ = 1, 3 do step() end
  local own = { steps = function(_, n)
    local times = {}
    for i = 1, n do times[i] = step() end
    return median(times)
  end }
  local all, rounds = { own, table.unpack(peers) }, {}
  for i, p in ipairs(all) do p.turn, rounds[i] = math.max(1, math.min(100, math.ceil(scale.turn / p:steps(2)))), {} end
  for round = 1, scale.rounds do
    for i, p in ipairs(all) do rounds[i][round] = p:steps(p.turn) end
  end
  for i, p in ipairs(peers) do
    p:close()
    if p.facts.parameters ~= count.parameters then
      common.fail("%s has %s parameters, this program %d", p.command, p.facts.parameters, count.parameters)
    end
    local ratios = {}
    for round = 1, scale.rounds do ratios[round] = rounds[i + 1][round] / rounds[1][round] end
    print(common.line { { "label", "%s", q.version }, { "dim", "%d", q.dim }, { "seq", "%d", q.seq }, { "batch", "%d", q.batch },
      { "vocab", "%d", q.vocab }, { "peer", '"torch %s"', p.facts.torch }, { "setting", "%s", p.setting }, { "form", '"%s"', p.about },
      { "ours", "%.0f", count.tokens / median(rounds[1]) }, { "theirs", "%.0f", count.tokens / median(rounds[i + 1]) },
      { "ratio", "%.2f", median(ratios) }, { "rounds", "%d", scale.rounds } })
    io.stdout:flush()
  end
end

return function(o)
  local scale, jobs = scales[o.scale], {}
  for i, size in ipairs(scale.sizes) do
    local version, dim, seq = table.unpack(size)
    local q = { version = version, dim = dim, seq = seq, batch = math.max(1, scale.tokens // seq), layers = 2, vocab = scale.vocab,
      pairs = seq // 8 }
    jobs[i] = { q = q, peers = begin(o, scale, q) }
  end
  for i, job in ipairs(jobs) do
    io.stderr:write(("peers  %s d=%d T=%d, size %d of %d\n"):format(job.q.version, job.q.dim, job.q.seq, i, #jobs))
    local here = ready(job.q, job.peers)
    if #here > 0 then measure(scale, job.q, here) end
    collectgarbage()
    collectgarbage()
  end
end

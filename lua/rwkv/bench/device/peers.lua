-- PyTorch on the same device, with the straightforward model of experiments/peers: as it is written, compiled, and with the
-- kernels of fla where that is installed. All become ready side by side, which takes torch.compile its time, and then take
-- turns within each round; the ratio is the median over rounds of the ratio within a round.
local common = require "rwkv.bench.common"
local others = require "rwkv.bench.others"
local peer = require "rwkv.bench.peer"
local trainer = require "rwkv.bench.trainer"
local versions = require "rwkv.versions"

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
  local facts, peers = versions.of(q.version), {}
  local form = facts.chunks and "chunk" or "loop"
  for _, setting in ipairs(settings) do
    if setting.name ~= "fla" or facts.in_fla then
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

local function measure(scale, q, peers, tries)
  local step, count = trainer(q)
  local quiet, ours, results = peer.take_turns(step, count, peers, scale, { most = 100, first = 2, tries = tries })
  for i, p in ipairs(peers) do
    print(common.line { { "label", "%s", q.version }, { "dim", "%d", q.dim }, { "seq", "%d", q.seq }, { "batch", "%d", q.batch },
      { "vocab", "%d", q.vocab }, { "peer", '"torch %s"', p.facts.torch }, { "setting", "%s", p.setting }, { "form", '"%s"', p.about },
      { "ours", "%.0f", ours }, { "theirs", "%.0f", results[i].theirs }, { "ratio", "%.2f", results[i].ratio },
      { "rounds", "%d", scale.rounds }, table.unpack(others.fields(quiet)) })
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
    if #here > 0 then measure(scale, job.q, here, o.tries) end
    collectgarbage()
    collectgarbage()
  end
end

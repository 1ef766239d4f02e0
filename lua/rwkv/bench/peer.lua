-- Another program beside which this one is measured. It stays alive: it says "ready ..." when it is warm, and for every line
-- with a number that it reads it takes so many steps and answers with their seconds.
--   local p, why = peer.start(command);  p:steps(3);  p:close()
local common = require "rwkv.bench.common"
local others = require "rwkv.bench.others"
local median = require "rwkv.statistics".median

local Peer = {}
Peer.__index = Peer

local peer = {}

-- The path of a program in experiments/peers, from where the user stands if it is below.
function peer.script(name)
  local here = package.searchpath("experiments.peers.check", package.path)
    or common.fail "experiments/peers is not beside this program"
  local path, root = here:gsub("[^/]*$", name), (os.getenv "PWD" or "") .. "/"
  return common.quote(path:sub(1, #root) == root and path:sub(#root + 1) or path)
end

-- A command as a user can repeat it. python is a piece of shell: PYTHONPATH=/other python3 is one, too.
function peer.command(python, script, ...)
  return table.concat({ python, peer.script(script), ... }, " ")
end

-- The program, started; `ready` waits for it.
function peer.begin(command)
  local pipe_name, errors = os.tmpname(), os.tmpname()
  os.remove(pipe_name)
  if not os.execute("mkfifo " .. pipe_name) then common.fail("mkfifo %s: not possible", pipe_name) end
  local p = setmetatable({ command = command, errors = errors }, Peer)
  p.to = io.popen(("{ %s --serve\n} >%s 2>%s"):format(command, pipe_name, errors), "w")
  p.from = io.open(pipe_name) -- waits until the shell has opened its end
  os.remove(pipe_name)
  return p
end

-- True, with what it said of itself in `facts` and `about`; false and the reason if it did not become ready.
function Peer:ready()
  local about = (self.from:read "l" or ""):match "^ready (.*)$"
  local why
  if about then
    self.facts, self.about = common.fields(about), about:match "# (.*)$"
  else
    self:close()
    local file = io.open(self.errors)
    why = (file:read "a"):gsub("%s+$", ""):match "[^\n]*$"
    file:close()
  end
  os.remove(self.errors)
  return about ~= nil, why
end

-- The program, ready; nil and the reason if it did not become so.
function peer.start(command)
  local p = peer.begin(command)
  local ok, why = p:ready()
  return ok and p or nil, why
end

-- n steps: the median of their seconds.
function Peer:steps(n)
  self.to:write(n, "\n")
  self.to:flush()
  local line, times = self.from:read "l", {}
  if not line then common.fail("%s ended", self.command) end
  for x in line:gmatch "%S+" do times[#times + 1] = tonumber(x) end
  return median(times)
end

function Peer:close()
  self.to:close()
  self.from:close()
end

-- Our own training step and the peers take turns: in each of scale.rounds rounds all have about scale.turn seconds, at most
-- q.most steps; q.first steps say how many that is. The peers end then. Returns how quiet it was (others.lua, q.tries at most), our
-- tokens a second and for each peer { theirs = its tokens a second, ratio = the median over rounds of the ratio within a round }.
function peer.take_turns(step, count, peers, scale, q)
  for _ = 1, 3 do step() end
  local own = { steps = function(_, n)
    local times = {}
    for i = 1, n do times[i] = step() end
    return median(times)
  end }
  local all, results = { own, table.unpack(peers) }, {}
  for _, p in ipairs(all) do p.turn = math.max(1, math.min(q.most, math.ceil(scale.turn / p:steps(q.first)))) end
  local quiet, rounds = others.measure(q.tries, function()
    local times = {}
    for i = 1, #all do times[i] = {} end
    for round = 1, scale.rounds do
      for i, p in ipairs(all) do times[i][round] = p:steps(p.turn) end
    end
    return times
  end)
  for i, p in ipairs(peers) do
    p:close()
    if p.facts.parameters ~= count.parameters then
      common.fail("%s has %s parameters, this program %d", p.command, p.facts.parameters, count.parameters)
    end
    local ratios = {}
    for round = 1, scale.rounds do ratios[round] = rounds[i + 1][round] / rounds[1][round] end
    results[i] = { theirs = count.tokens / median(rounds[i + 1]), ratio = median(ratios) }
  end
  return quiet, count.tokens / median(rounds[1]), results
end

return peer

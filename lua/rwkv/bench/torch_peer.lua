-- PyTorch as a peer: a Python program (experiments/peers/torch_rwkv.py) that stays alive, takes so many steps whenever it is
-- told to, and answers with their seconds.
--   local peer, why = torch_peer.start(python, o, { form = "chunk", tuned = true });  peer:steps(3);  peer:close()
local common = require "rwkv.bench.common"

local Peer = {}
Peer.__index = Peer

local torch_peer = {}

function torch_peer.script(name)
  local here = package.searchpath("experiments.peers.check", package.path)
    or common.fail "experiments/peers is not beside this program"
  return (here:gsub("[^/]*$", name))
end

-- The peer's command as a user can repeat it. python is a piece of shell: PYTHONPATH=/other python3 is one, too. The
-- environment is the user's; this program's own setting for threads that wait is not (lua/main.c).
function torch_peer.command(python, o, kind, ...)
  local words = { "env -u OMP_WAIT_POLICY", python, common.quote(torch_peer.script "torch_rwkv.py") }
  for _, name in ipairs { "version", "dim", "layers", "vocab", "pairs", "seq", "batch", "threads" } do
    words[#words + 1] = ("--%s %s"):format(name, o[name])
  end
  words[#words + 1] = "--form " .. kind.form .. (kind.tuned and " --tuned" or "")
  return table.concat(words, " ") .. table.concat({ "", ... }, " ")
end

function torch_peer.start(python, o, kind)
  local pipe_name, errors = os.tmpname(), os.tmpname()
  os.remove(pipe_name)
  if not os.execute("mkfifo " .. pipe_name) then common.fail("mkfifo %s: not possible", pipe_name) end
  local peer = setmetatable({ form = kind.form, tuned = kind.tuned or false, tokens = o.batch * o.seq,
    command = torch_peer.command(python, o, kind) }, Peer)
  peer.to = io.popen(("{ %s --serve\n} >%s 2>%s"):format(peer.command, pipe_name, errors), "w")
  peer.from = io.open(pipe_name) -- waits until the shell has opened its end
  os.remove(pipe_name)
  local ready = peer.from:read "l"
  local about = ready and ready:match "^ready (.*)$"
  local why
  if about then
    local facts = common.fields(about)
    peer.torch, peer.parameters, peer.about = tostring(facts.torch), facts.parameters, about:match "# (.*)$"
  else
    peer:close()
    local file = io.open(errors)
    why = (file:read "a"):gsub("%s+$", ""):match "[^\n]*$"
    file:close()
  end
  os.remove(errors)
  return about and peer or nil, why
end

-- n steps: the median of their seconds.
function Peer:steps(n)
  self.to:write(n, "\n")
  self.to:flush()
  local line, times = self.from:read "l", {}
  if not line then common.fail("%s ended", self.command) end
  for x in line:gmatch "%S+" do times[#times + 1] = tonumber(x) end
  return common.median(times)
end

function Peer:close()
  self.to:close()
  self.from:close()
end

return torch_peer

-- aviary bench tokenize: bytes of a text a second, one core; with --peer in turn with what a user of Python has: for a World
-- vocabulary the Rust crate behind pyrwkv-tokenizer, for BPE Hugging Face's tokenizers. The ids have to be equal.
local rwkv = require "rwkv"
local common = require "rwkv.bench.common"
local contents = require "rwkv.contents"
local others = require "rwkv.bench.others"
local peer = require "rwkv.bench.peer"
local median = require "rwkv.statistics".median

local function read(path)
  local text, problem = contents(path)
  return text or common.fail("option --text: %s", problem)
end

local function open(path)
  local ok, tokenizer = pcall(rwkv.tokenizer, path)
  return ok and tokenizer or common.fail("option --vocab: %s", (tokenizer:gsub("^[^\n ]+:%d+: ", "")))
end

local function start(o, tokenizer, ids)
  if tokenizer:kind() ~= "world" and tokenizer:kind() ~= "bpe" then
    common.fail("option --peer: there is none for a vocabulary of %s", tokenizer:kind())
  end
  local p, why = peer.start(peer.command(o.python, "tokenizers_peer.py", "--kind", tokenizer:kind(), "--vocab",
    common.quote(o.vocab), "--text", common.quote(o.text), "--ids", ids))
  if not p then print(("%s: absent: %s"):format(o.python, why)) end
  return p
end

return function(arguments)
  local o = common.options(arguments, { vocab = "", text = "", rounds = 7, peer = false, tries = others.most,
    python = os.getenv "PYTHON" or "python3" })
  if o.vocab == "" or o.text == "" then common.fail "expected --vocab FILE and --text FILE" end
  local before = common.memory_now()
  local tokenizer, text = open(o.vocab), read(o.text)
  if text == "" then common.fail("option --text: %s is empty", o.text) end
  local held = common.memory_now() - before - #text
  local ids = os.tmpname()
  local p = o.peer and start(o, tokenizer, ids)
  local quiet, times, ratios, count = others.measure(o.tries, function()
    local both, parts, n = { {}, {} }, {}, nil
    for round = 1, o.rounds do
      local began = rwkv.time()
      local tokens = tokenizer:tokens(text)
      both[1][round] = rwkv.time() - began
      n = tokens:shape()[2]
      if p then
        both[2][round] = p:steps(1)
        parts[round] = both[2][round] / both[1][round]
      end
    end
    return both, parts, n
  end)
  if p then
    p:close()
    local same = read(ids) == table.concat(tokenizer:encode(text), " ")
    print(("%s: %.1f MB/s, %.0f MB of memory; the ids are %s"):format(p.about, #text / median(times[2]) / 1e6, p.facts.memory_mb,
      same and "equal" or "different"))
    os.remove(ids)
    if not same then common.fail "the peer finds other ids" end
  end
  print(("%s: %d bytes, %d ids, median of %d runs"):format(tokenizer, #text, count, o.rounds))
  common.say_others(quiet)
  local fields = { { "mb_per_s", "%.1f", #text / median(times[1]) / 1e6 },
    { "best_mb_per_s", "%.1f", #text / math.min(table.unpack(times[1])) / 1e6 }, { "vocab_mb", "%.1f", held / 2 ^ 20 },
    { "memory_mb", "%.0f", common.peak_memory() / 2 ^ 20 } }
  if p then fields[#fields + 1] = { "ratio", "%.2f", median(ratios) } end
  print(common.line(fields))
end

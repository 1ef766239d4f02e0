-- Sizes of a pack: what options say, else what its kind says; and what a pack of such sizes cannot show.
local core = require "rwkv.core"
local versions = require "rwkv.versions"

local sizes = {}

-- Small packs are to be read. The standard pack is for the tests of other projects: a head size that every implementation has,
-- a length that chunks of 16 divide and whose middle is their border, low-rank maps in multiples of 8. Half of it would be states
-- after each token, which it is without.
local kinds = {
  small = { layers = 3, dim = 24, heads = 2, vocab = 23, len = 24, batch = 1, trace = "" },
  standard = { layers = 3, dim = 128, heads = 2, vocab = 96, len = 32, batch = 2, trace = "emb.x,blocks,ln_out" },
}
local function kind_of(o) return kinds[o.standard and "standard" or "small"] end

-- Options, the least that each may be, and the fact of a version without which it has none (../versions); of ranks those that it has.
local options = {
  { "layers", 1 }, { "dim", 4 }, { "heads", 1, "heads" }, { "vocab", 2 }, { "len", 1 }, { "batch", 1 }, { "dim_ffn", 1 },
  { "ctx", 1, "context" }, { "head_qk", 1, "copy_head" },
}
for _, name in ipairs(core.size_names()) do
  if name:find "_rank$" then options[#options + 1] = { name, 1, "ranks" } end
end

-- What options are on a command line: "" where nothing is said.
sizes.defaults = { standard = false }
for _, option in ipairs(options) do sizes.defaults[option[1]] = "" end

local function spelt(name) return "--" .. name:gsub("_", "-") end

local function has(version, name, fact)
  local facts = versions.of(version)
  if fact == "ranks" then return facts.ranks[name] ~= nil end
  return not fact or facts[fact] and true or false
end

-- The options that are given, as numbers. version: nil if a file has the model.
function sizes.given(version, o)
  local given = {}
  for _, option in ipairs(options) do
    local name, least, of = table.unpack(option)
    local text = o[name]
    if text and text ~= "" then
      local n = math.tointeger(tonumber(text))
      if not n or n < least or n > 2 ^ 31 - 1 then
        error(("%s: expected a whole number from %d, found '%s'"):format(spelt(name), least, text), 0)
      end
      if version and not has(version, name, of) then
        error(("%s %d: %s has no such size"):format(spelt(name), n, version), 0)
      end
      given[name] = n
    end
  end
  return given
end

-- len and batch, where the file of tokens does not decide.
function sizes.tokens(o, given) return given.len or kind_of(o).len, given.batch or kind_of(o).batch end

-- The words that choose the intermediates, "" for all.
function sizes.trace(o) return (o.trace ~= "" or o.no_trace) and o.trace or kind_of(o).trace end

-- The sizes of a model, as core.model takes them.
function sizes.model(version, o, given, len)
  local function size(name) return given[name] or kind_of(o)[name] end
  local dim, heads, facts = size "dim", size "heads", versions.of(version)
  if heads < facts.least_heads then error(("--heads %d: %s has at least %d"):format(heads, version, facts.least_heads), 0) end
  if dim % heads ~= 0 then error(("--dim %d --heads %d: the channels cannot be split into heads of one size"):format(dim, heads), 0) end
  local q = { version = version, layers = size "layers", dim = dim, vocab = size "vocab", head_size = dim // heads,
    dim_ffn = given.dim_ffn }
  for name, rank in pairs(facts.ranks) do q[name] = given[name] or rank * math.max(1, dim // 16) end
  if facts.context then
    q.ctx = given.ctx or len + 3
    if q.ctx < len then error(("--ctx %d: there are %d tokens"):format(q.ctx, len), 0) end
  end
  q.head_qk = given.head_qk or facts.copy_head == "usual" and 12 or nil
  if not facts.heads then q.head_size = nil end
  return q
end

-- What a pack cannot show: { what, why, versions, when(c, H, B, T, random) }; H is nil without heads, random: its weights are.
local blind = {
  { "the token shift, and what is carried from token to token", "one token", "", function(_, _, _, T) return T == 1 end },
  { "the decay, but for the state", "two tokens", "^v[2-6]", function(_, _, _, T) return T == 2 end },
  { "the border of chunks of 16 tokens or more", "16 tokens or fewer", "", function(_, _, _, T) return T <= 16 end },
  { "sequences exchanged, the state of the sequence before, axes of batch and time exchanged", "one sequence", "",
    function(_, _, B) return B == 1 end },
  { "the weights of one layer in the place of another's", "one layer", "", function(c) return c.layers == 1 end },
  { "the value residual", "one layer", "^v7", function(c) return c.layers == 1 end },
  { "a value residual from the layer before", "two layers", "^v7", function(c) return c.layers == 2 end },
  { "what happens every six layers", "fewer than seven layers", "", function(c) return c.layers < 7 end },
  { "heads interleaved, and a norm over all heads", "one head", "^v[567]", function(_, H) return H == 1 end },
  { "the eps of the removal keys' norm", "one head", "^v7", function(_, H, _, _, random) return random and H == 1 end },
  { "a group-norm eps of 1e-5 times the head size", "a head size of 64, where it is right", "^v[567]",
    function(c) return not versions.of(c.version).one_norm and c.head_size == 64 end },
  { "a group-norm eps of 1e-5 times the square of the head size", "a head size of 8, where it is right", "^v[567]",
    function(c) return not versions.of(c.version).one_norm and c.head_size == 8 end },
}

-- c: the model's sizes; random: whether its weights are -> list of texts
function sizes.blind(c, tokens, random)
  local H, list = c.head_size and (c.dim_att or c.dim) // c.head_size, {}
  for _, e in ipairs(blind) do
    local what, why, of, when = table.unpack(e)
    if versions.is(c.version, of) and when(c, H, #tokens, #tokens[1], random) then list[#list + 1] = ("%s (%s)"):format(what, why) end
  end
  return list
end

return sizes

-- Of which version a file of somebody else's is, as far as its metadata or the names of its weights tell.
local core = require "rwkv.core"
local models = require "rwkv.models"
local versions = require "rwkv.versions"

local tiny = { layers = 2, dim = 8, head_size = 4, vocab = 4, ctx = 4 }

-- "blocks.7.att.w0" -> "att.w0" of any block but the first
local function anywhere(name) return (name:gsub("^blocks%.[1-9]%d*%.", "blocks.N.")) end

-- The names of a version's parameters as a set.
local function parameters(version)
  local q, set, facts = { version = version }, {}, versions.of(version)
  for name, value in pairs(tiny) do q[name] = value end
  if not facts.context then q.ctx = nil end
  if not facts.heads then q.head_size = nil end
  for name in models.model(q):parameters() do set[anywhere(name)] = true end
  return set
end

local function common(set, names)
  local n = 0
  for _, name in ipairs(names) do n = n + (set[anywhere(name)] and 1 or 0) end
  return n
end

-- -> the version if it is another one than expected, and what tells it; otherwise nil
return function(meta, names, expected)
  for _, key in ipairs { "config.version", "version" } do
    for _, version in ipairs(core.versions()) do
      if meta[key] == version and version ~= expected then return version, "its metadata" end
    end
  end
  local most, version = common(parameters(expected), names), nil
  for _, other in ipairs(core.versions()) do
    local n = other ~= expected and common(parameters(other), names) or 0
    if n > most then most, version = n, other end
  end
  return version, "the names of its weights"
end

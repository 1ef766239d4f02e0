-- Digests by which an evaluation knows its model, tokenizer and data again.
local core = require "rwkv.core"
local say = require "rwkv.visible".say
local contents, sha256 = core.private.contents, core.private.sha256

local digest = {}

local slow = 2e8 -- bytes that take more than two seconds

-- Of the bytes of a file; nil if it is none.
function digest.file(path)
  local file <close> = io.open(path, "rb")
  if not file or not file:read(0) and file:seek "end" ~= 0 then return nil end
  local bytes = file:seek "end"
  if bytes > slow then say("%s: the sha256 of %.1f GB is computed", path, bytes / 1e9) end
  return contents(file)
end

-- Of a model that is no single file: its parameters, in their order.
function digest.model(model)
  local parts = {}
  for name, t in model:parameters() do parts[#parts + 1] = name .. contents(t) end
  return sha256(table.concat(parts))
end

return digest

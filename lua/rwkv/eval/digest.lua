-- Digests by which an evaluation knows its model, tokenizer and data again.
local core = require "rwkv.core"
local contents, sha256 = core.private.contents, core.private.sha256

local digest = {}

-- Of the bytes of a file; nil if it is none.
function digest.file(path)
  local file <close> = io.open(path, "rb")
  return file and contents(file)
end

-- Of a model that is no single file: its parameters, in their order.
function digest.model(model)
  local parts = {}
  for name, t in model:parameters() do parts[#parts + 1] = name .. contents(t) end
  return sha256(table.concat(parts))
end

return digest

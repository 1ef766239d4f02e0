-- Digests (sha256, in hexadecimal) by which a file, or a model, is known again.
local core = require "rwkv.core"
local progress = require "rwkv.progress"
local contents, hash, sha256 = core.private.contents, core.private.hash, core.private.sha256

local digest = {}

-- Of the bytes of a file, and how many they are; nil and why if it cannot be read, as a directory.
function digest.file(path)
  local opened <close>, why = io.open(path, "rb")
  if opened then why = select(2, opened:read(0)) end -- a directory can be opened, but not read
  if why then return nil, why end
  local add, bytes = hash(), opened:seek "end"
  local bar = progress("sha256", bytes, "bytes")
  opened:seek "set"
  for piece in function() return opened:read(1 << 22) end do
    add(piece)
    bar:update(opened:seek())
  end
  local found = opened:seek()
  bar:clear()
  if found ~= bytes then error(("%s: %d of its %d bytes could be read"):format(path, found, bytes), 0) end
  return add(), bytes
end

-- Of the file of a model; nil if it stands in several, of which the path is the directory or the index, a JSON text.
function digest.single(path)
  local opened <close> = io.open(path, "rb")
  local begin = opened and opened:read(8) or ""
  if begin:find "^%s*{" and not begin:find "\0" then return nil end
  return digest.file(path)
end

-- Of a model that is no single file: its parameters, in their order.
function digest.model(model)
  local parts = {}
  for name, t in model:parameters() do parts[#parts + 1] = name .. contents(t) end
  return sha256(table.concat(parts))
end

return digest

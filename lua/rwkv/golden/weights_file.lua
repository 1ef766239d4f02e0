-- The file that holds the weights of a released model, of which a pack was made: the pack knows it by name, size and digest.
local core = require "rwkv.core"
local file = require "rwkv.file"
local progress = require "rwkv.progress"

local hash = core.private.hash

local weights_file = { large = 100e6 } -- bytes: the weights of a larger file stay out of the pack

-- -> { file = its name without directories, bytes =, sha256 = }
function weights_file.describe(path)
  local opened <close>, why = io.open(path, "rb")
  local add, _ = hash(), nil
  if opened then _, why = opened:read(0) end -- a directory can be opened, but not read
  if why then error(("%s: a pack knows its weights by the sha256 of their file: %s"):format(path, why), 0) end
  local bytes = opened:seek "end"
  local bar = progress("sha256", bytes, "bytes")
  opened:seek "set"
  for piece in function() return opened:read(1 << 22) end do
    add(piece)
    bar:update(opened:seek())
  end
  if opened:seek() ~= bytes then error(("%s: %d of its %d bytes could be read"):format(path, opened:seek(), bytes), 0) end
  bar:clear()
  return { file = path:match "[^/]+$", bytes = bytes, sha256 = add() }
end

-- { name = tensor } of the model that a pack was made of: out of the pack itself, or of the file at `path`, which must be the
-- same; nil if the pack is without them and no path is given ("").
function weights_file.of(p, path)
  local inside = p.tensors[p.names[1]] and p.names[1] ~= "tokens"
  if inside and path ~= "" then error(("--weights: %s holds its weights"):format(p.path), 0) end
  if not inside and path == "" then return nil end
  local map = {}
  if inside then
    for _, name in ipairs(p.names) do
      if name == "tokens" then break end -- weights come first
      map[name] = p.tensors[name].value
    end
    return map
  end
  local found, expected = weights_file.describe(path).sha256, p.meta["weights.sha256"]
  if found ~= expected then
    error(("%s: its sha256 is %s; %s was made of %s with %s"):format(path, found, p.path, p.meta["weights.file"] or "a file",
      expected or "none"), 0)
  end
  for name, t in file.model(path):parameters() do map[name] = t end
  return map
end

return weights_file

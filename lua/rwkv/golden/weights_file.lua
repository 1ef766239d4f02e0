-- The file that holds the weights of a released model, of which a pack was made: the pack knows it by name, size and digest.
local digest = require "rwkv.digest"
local file = require "rwkv.file"

local weights_file = { large = 100e6 } -- bytes: the weights of a larger file stay out of the pack

-- -> { file = its name without directories, bytes =, sha256 = }
function weights_file.describe(path)
  local sha256, bytes = digest.single(path)
  if not sha256 then
    error(("%s: a pack knows its weights by the sha256 of one file; `aviary convert %s ONE.safetensors` makes it"):format(path, path),
      0)
  end
  return { file = path:match "[^/]+$", bytes = bytes, sha256 = sha256 }
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
  for name, t in file.model(path, { head_size = p.config.head_size }):parameters() do map[name] = t end
  return map
end

return weights_file

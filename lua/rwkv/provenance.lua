-- Of which commit numbers are: that of the program, with a "+" if something that is run is not the commit's: its C when it was
-- built, or a file of Lua when it was loaded. A script of one's own is none of the commit's.
local contents = require "rwkv.contents"
local core = require "rwkv.core"
local sorted = require "rwkv.sorted"

local private = core.private
local provenance = {}

-- What a stock Lua has loaded, as far as it can be seen afterwards, as it is now: the script and modules by their names.
local function loaded_files()
  local paths, digests = { arg and arg[0] }, {}
  for name in pairs(package.loaded or {}) do
    if type(name) == "string" then paths[#paths + 1] = package.searchpath(name, package.path) end
  end
  for _, path in ipairs(paths) do
    local text = contents(path)
    if text then digests[path] = private.sha256(text) end
  end
  return digests
end

-- What is loaded and not the commit's: a list of { path =, digest = }, by path. Empty if nobody knows what the commit has.
function provenance.changed()
  local sources, list = private.sources or loaded_files(), {}
  for _, path in ipairs(sorted(sources)) do
    local digest = sources[path]
    if private.is_of_commit(digest) == false then list[#list + 1] = { path = path, digest = digest } end
  end
  return list
end

function provenance.commit()
  local built = core.commit
  return built:find "%+$" and built or built .. (#provenance.changed() > 0 and "+" or "")
end

-- Some digits by which the changed files, as they are, are known again; nil if there are none.
function provenance.digest()
  local digests = {}
  for i, file in ipairs(provenance.changed()) do digests[i] = file.digest end
  table.sort(digests)
  return #digests > 0 and private.sha256(table.unpack(digests)):sub(1, 12) or nil
end

local most = 8

-- "mine.lua 0123456789ab, .. and 3 more": what is not the commit's; nil if all is. Aviary's own files without where it is.
function provenance.text()
  local parts, home, changed = {}, package.path:match "^(.-)lua/%?%.lua;", provenance.changed()
  for i = 1, math.min(most, #changed) do
    local path = changed[i].path
    if home and path:sub(1, #home) == home then path = path:sub(#home + 1) end
    parts[i] = path .. " " .. changed[i].digest:sub(1, 12)
  end
  local rest = #changed > most and (" and %d more"):format(#changed - most) or ""
  return #parts > 0 and table.concat(parts, ", ") .. rest or nil
end

return provenance

-- What a port loads, beside the pack: its weights in a file of the port's own format and names, tokens and targets as numbers alone.
local core = require "rwkv.core"
local file = require "rwkv.file"

local port = {}

-- ---- tokens ----

local function json_rows(rows)
  local parts = {}
  for i, row in ipairs(rows) do parts[i] = "[" .. table.concat(row, ", ") .. "]" end
  return "[" .. table.concat(parts, ",\n  ") .. "]"
end

local function json(tokens, targets)
  return ('{"tokens": %s%s}\n'):format(json_rows(tokens), targets and ',\n "targets": ' .. json_rows(targets) or "")
end

-- Little-endian, of 4 bytes each, row after row: first the tokens, then the targets.
local function raw(tokens, targets)
  local parts = {}
  for _, rows in ipairs { tokens, targets } do
    for _, row in ipairs(rows) do parts[#parts + 1] = ("<" .. ("i4"):rep(#row)):pack(table.unpack(row)) end
  end
  return table.concat(parts)
end

local writers = { json = json, i32 = raw }

local function writer_of(path)
  return writers[path:match "%.(%w+)$"] or error(("--ids %s: expected a name that ends in .json or .i32"):format(path), 0)
end

-- ---- both ----

local function given(option) return option ~= nil and option ~= "" end

-- o: the options --port, --names, --ids, of which what is wrong can be said at once.
function port.check(o)
  if given(o.names) and not given(o.port) then error(("--names %s is for the weights of --port FILE"):format(o.names), 0) end
  if given(o.ids) then
    writer_of(o.ids)
    file.check_writable(o.ids)
  end
  if given(o.port) then file.check_writable(o.port) end
end

local function write_weights(o, model, dtype)
  local whole = given(o.weights) and o.weights or o.port .. ".whole" -- as safetensors, from which the port's file is made
  if not given(o.weights) then model:save(whole) end
  local ok, message = pcall(core.convert, whole, o.port, { names = given(o.names) and o.names or "official", dtype = dtype })
  if not given(o.weights) then os.remove(whole) end
  if not ok then error(message, 0) end
end

-- What the options ask for. dtype: what the weights are rounded to; nil: as they are in --weights FILE.
function port.write(o, model, dtype, tokens, targets)
  if given(o.port) then write_weights(o, model, dtype) end
  if given(o.ids) then core.write_file(o.ids, writer_of(o.ids)(tokens, targets)) end
end

return port

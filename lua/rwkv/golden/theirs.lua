-- What somebody else has computed, as a pack would hold it: under its names, in its shapes.
--   theirs(p, { path, .. }, { rename =, positions =, only =, skip = }) -> what can be compared, a list of { name = the pack's, theirs = the
--     name in the file, entry = { value =, shape =, dtype =, positions = nil or those that it holds, note = nil or what was done } }
--     in the order of computation; the names of what cannot; all names, official where a family's are known; the metadata
-- A path is a file of any format, a directory with one, or with a file for each tensor.
local core = require "rwkv.core"
local file = require "rwkv.file"
local names = require "rwkv.golden.names"
local positions = require "rwkv.golden.positions"
local rename = require "rwkv.golden.rename"

-- ---- reading ----

local function transposed(name, e)
  local n = #e.shape
  if n < 2 or n ~= #e.value:shape() then
    error(("--rename: %s has shape [%s]: there is nothing to transpose"):format(name, table.concat(e.shape, ",")), 0)
  end
  e.value = core.no_grad(function() return e.value:transpose(n - 1, n):keep() end)
  e.shape[n - 1], e.shape[n] = e.shape[n], e.shape[n - 1]
  return e
end

-- The tensors of a file as list of { name =, entry = }, its metadata.
local function read_file(path, version, rules)
  local list, ruled = {}, {}
  if #rules > 0 then -- as they stand in the file: a rule says all that is to be done
    local raw, _, order = file.tensors(path)
    for _, name in ipairs(order) do
      local rule, ours = rename.rule_for(rules, name)
      if rule then
        ruled[name], raw[name].ours = true, ours
        list[#list + 1] = { name = ours, entry = rule.transpose and transposed(name, raw[name]) or raw[name] }
      end
    end
  end
  local tensors, meta, order = file.tensors(path, "", version)
  for _, name in ipairs(order) do
    if not ruled[tensors[name].given] then list[#list + 1] = { name = name, entry = tensors[name] } end
  end
  return list, meta
end

-- Of all files.
local function read(paths, version, rules)
  local list, meta, from = {}, {}, {}
  for _, path in ipairs(paths) do
    local found, texts = read_file(path, version, rules)
    for _, t in ipairs(found) do
      local given = t.entry.given
      if from[given] and from[given] ~= path then error(("%s: %s stands in %s, too"):format(path, given, from[given]), 0) end
      if t.entry.written then t.entry.dtype = "f32" end -- of what arithmetic a text is, it does not say
      from[given], list[#list + 1] = path, t
    end
    for key, text in pairs(texts) do meta[key] = text end
  end
  return list, meta
end

-- ---- shapes ----

local function text(shape) return "[" .. table.concat(shape, ",") .. "]" end

local function without_ones(shape)
  local list = {}
  for _, n in ipairs(shape) do if n ~= 1 then list[#list + 1] = n end end
  return list
end

-- Whether every axis of `few` is some of `many` in a row: [46,23] of [2,23,23].
local function joins(few, many)
  local i = 1
  for _, size in ipairs(few) do
    local n = 1
    while n < size and many[i] do n, i = n * many[i], i + 1 end
    if n ~= size then return false end
  end
  return i > #many
end

-- Gives theirs the shape of ours where its numbers can only be the same ones in the same order.
local function fit(e, shape)
  local a, b = without_ones(e.shape), without_ones(shape)
  local same = text(a) == text(b)
  if not same and not joins(a, b) and not joins(b, a) then return false end
  if not same then e.note = ("taken as %s, row-major, from %s"):format(text(shape), text(e.shape)) end
  e.shape = shape
  return true
end

local function over_positions(p, ours)
  return #ours.shape >= 2 and ours.shape[1] == #p.tokens and ours.shape[2] == #p.tokens[1]
end

local function shape_of(p, name, e, list)
  local ours, kind = p.tensors[name], names.kind(name)
  if fit(e, ours.shape) or not list or not over_positions(p, ours) or (kind ~= "trace" and kind ~= "logits") then return end
  local chosen = table.move(ours.shape, 1, #ours.shape, 1, {})
  chosen[2] = #list
  if fit(e, chosen) then
    e.positions = list
  else
    e.problem = ("has shape %s, expected %s for the %d positions"):format(text(e.shape), text(chosen), #list)
  end
end

-- ---- the whole ----

local function name_in_pack(p, name, e)
  if not e.ours then return names.find(p, name, e.shape) end
  return p.tensors[e.ours] and e.ours or names.find(p, e.ours, e.shape) or error(("--rename: the pack has no tensor '%s'"):format(e.ours), 0)
end

-- By the name in the file, or the official one for it.
local function chosen_by(o, name, e)
  local function among(words) return names.any(words, name) or names.any(words, e.given) end
  return not among(o.skip) and (o.only == "" or among(o.only))
end

return function(p, paths, o)
  local rules = rename.rules(o.rename or "")
  local at = o.positions and o.positions ~= "" and positions.parse(o.positions, #p.tokens[1]) or nil
  local all, meta = read(paths, p.config.version, rules)
  rename.check_used(rules, table.concat(paths, " "))
  local by_ours, unknown, matched, order = {}, {}, {}, {}
  for i, t in ipairs(all) do
    order[i] = t.name
    local ours = chosen_by(o, t.name, t.entry) and name_in_pack(p, t.name, t.entry)
    if ours then
      by_ours[ours] = by_ours[ours] or {}
      table.insert(by_ours[ours], t.entry)
    elseif ours == nil then
      unknown[#unknown + 1] = t.entry.given
    end
  end
  for _, ours in ipairs(p.names) do
    for _, e in ipairs(by_ours[ours] or {}) do
      shape_of(p, ours, e, at)
      matched[#matched + 1] = { name = ours, theirs = e.given, entry = e }
    end
  end
  return matched, unknown, order, meta
end

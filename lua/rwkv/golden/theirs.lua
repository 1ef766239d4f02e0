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

-- Adds the tensors of a file to all = { tensors = by name, order =, meta =, from = { name = path } }.
local function add_file(all, path, version, rules)
  local ruled, found = {}, {}
  if #rules > 0 then -- as they stand in the file: a rule says all that is to be done
    local raw, _, order = file.tensors(path)
    for _, name in ipairs(order) do
      local rule, ours = rename.rule_for(rules, name)
      if rule then
        local e = raw[name]
        ruled[name], found[#found + 1] = true, { ours, rule.transpose and transposed(name, e) or e }
        e.ours = ours
      end
    end
  end
  local tensors, meta, order = file.tensors(path, "", version)
  for _, name in ipairs(order) do
    if not ruled[tensors[name].given] then found[#found + 1] = { name, tensors[name] } end
  end
  for _, pair in ipairs(found) do
    local name, e = pair[1], pair[2]
    if all.tensors[name] then
      error(("%s: %s is there already, %s of %s"):format(path, name, all.tensors[name].given, all.from[name]), 0)
    end
    if e.written then e.dtype = "f32" end -- of what arithmetic a text is, it does not say
    all.tensors[name], all.from[name], all.order[#all.order + 1] = e, path, name
  end
  for key, text in pairs(meta) do all.meta[key] = text end
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
  local list = o.positions and o.positions ~= "" and positions.parse(o.positions, #p.tokens[1]) or nil
  local all = { tensors = {}, order = {}, meta = {}, from = {} }
  for _, path in ipairs(paths) do add_file(all, path, p.config.version, rules) end
  rename.check_used(rules, table.concat(paths, " "))
  local by_ours, unknown, matched = {}, {}, {}
  for _, name in ipairs(all.order) do
    local e = all.tensors[name]
    if chosen_by(o, name, e) then
      local ours = name_in_pack(p, name, e)
      if ours then
        by_ours[ours] = by_ours[ours] or {}
        table.insert(by_ours[ours], e)
      else
        unknown[#unknown + 1] = e.given
      end
    end
  end
  for _, ours in ipairs(p.names) do
    for _, e in ipairs(by_ours[ours] or {}) do
      shape_of(p, ours, e, list)
      matched[#matched + 1] = { name = ours, theirs = e.given, entry = e }
    end
  end
  return matched, unknown, all.order, all.meta
end

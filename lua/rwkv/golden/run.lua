-- A run of the reference from which nothing is hidden: every named intermediate and every state at every position,
-- logits, loss and gradients. Token by token, so that the state can be seen; all values are flat, beside their shape.
--   run(model, tokens, { targets =, gradients = true, trace = true, false or "WORD,..", progress = a bar }) -> list of
--   { name =, value =, shape = } in the order of computation, which can also be indexed by name
-- Names: "trace.blocks.0.att.w" [B,T,..], "trace.state.0.att_kv" [B,T,..] after each token, "state.0.att_kv" [B,..] at
-- the end, "logits" [B,T,V], "loss" [], "grad.NAME".
local core = require "rwkv.core"
local names_of = require "rwkv.golden.names"
local versions = require "rwkv.versions"

-- [B,1,..] of each token -> [B,T,n]
local function over_time(parts)
  if #parts == 1 then return parts[1] end
  return core.no_grad(function() return core.concat(table.move(parts, 1, #parts, 1, {}), 2) end)
end

-- What was seen at each position: rows[name] = { shape = that of one token without B and 1, or nil if it is the same at
-- all positions, [1..T] = [B,1,n] }. Of what keeps(name) denies the last position alone.
local function collector(keeps)
  local rows, names = {}, {}
  return rows, names, function(name, value, shape, constant)
    local row = rows[name]
    if not row then
      row = { shape = shape, constant = constant, kept = keeps(name) }
      rows[name], names[#names + 1] = row, name
    end
    row.shape_last = shape
    if not row.kept then
      row[1] = name:find "^state%." and value:keep()
    elseif not (constant and row[1]) then
      row[#row + 1] = value:keep()
    end
  end
end

-- name -> whether it is wanted at every position.
local function chooser(trace)
  return function(name)
    if name == "logits" then return true end
    if type(trace) == "string" then return names_of.any(trace, name) end
    return trace ~= false
  end
end

-- A word that chooses nothing is a slip of the pen.
local function check_words(trace, names)
  if trace == "," then error("--trace ,: expected words, with commas between them", 0) end
  for word in type(trace) == "string" and trace:gmatch "[^,]+" or function() end do
    local found = false
    for _, name in ipairs(names) do found = found or name ~= "logits" and names_of.any(word, name) end
    if not found then
      error(("--trace %s: no intermediate has this in its name; there are %s .. %s"):format(word, names[1],
        table.concat(names, " ", math.max(2, #names - 8))), 0)
    end
  end
end

local function tail(shape, from) return table.move(shape, from, #shape, 1, {}) end

local function see_token(model, column, state, add)
  core.no_grad(function()
    local logits, _, seen = model:trace_run(column, state)
    local B = #column
    for _, s in ipairs(seen) do
      local shape = s.value:shape()
      if #shape < 3 then -- a parameter under way, such as v4's decay
        add(s.name, s.value:reshape(-1), shape, true)
      else
        add(s.name, s.value:reshape(B, 1, -1), tail(shape, 3))
      end
    end
    for _, name in ipairs(state:names()) do
      local t = state:get(name)
      if t:size() > 0 then add("state." .. name, t:reshape(B, 1, -1), tail(t:shape(), 2)) end
    end
    add("logits", logits, tail(logits:shape(), 3))
  end)
end

-- Where a state belongs: what a part keeps of its input before the part, its sums before they are read.
local function in_order(names)
  local order, placed = {}, {}
  local function put(name)
    if not placed[name] then order[#order + 1], placed[name] = name, true end
  end
  for _, name in ipairs(names) do
    local layer, part, what = name:match "^blocks%.(%d+)%.(%a+)%.(%w+)$"
    for _, state in ipairs(layer and names or {}) do
      local of, kind = state:match "^state%.(%d+)%.(.+)$"
      local here = of == layer and (what == "x" and kind == (part == "ffn" and "ffn_xx" or "att_xx")
        or what == "x" and part == "ffn" and kind == "mlp_xx"
        or part == "att" and (what == "wkv" or what == "y") and kind:find "^att_" and kind ~= "att_xx")
      if here then put(state) end
    end
    if not name:find "^state" and name ~= "logits" then put(name) end
  end
  for _, name in ipairs(names) do if name ~= "logits" then put(name) end end
  return order
end

local function gradients(model, tokens, targets, add)
  model:zero_grad()
  local loss = model:loss(tokens, targets)
  loss:backward()
  add("loss", loss:keep(), {})
  local version = model:config().version
  for name, p in model:parameters() do
    if not versions.is_unused(version, name) then add("grad." .. name, core.no_grad(function() return p:grad() end), p:shape()) end
  end
  model:zero_grad()
  core.end_step()
end

return function(model, tokens, options)
  local B, T, list, by_name = #tokens, #tokens[1], {}, {}
  local function add(name, value, shape)
    list[#list + 1] = { name = name, value = value, shape = shape }
    by_name[name] = list[#list]
  end
  local state = model:state(B)
  local rows, names, see = collector(chooser(options.trace))
  for t = 1, T do
    local column = {}
    for b = 1, B do column[b] = { tokens[b][t] } end
    if options.progress then options.progress:update(t - 1) end
    see_token(model, column, state, see)
    if t == 1 then check_words(options.trace, names) end
  end
  for _, name in ipairs(in_order(names)) do
    local row = rows[name]
    local grows = row.kept and #row[1]:shape() == 3 and row[1]:size() ~= row[#row]:size()
    if row.kept and row.constant then
      add("trace." .. name, row[1], row.shape)
    elseif row.kept and #row == T and not grows then
      add("trace." .. name, over_time(row), { B, T, table.unpack(row.shape) })
    end
  end
  for _, name in ipairs(names) do
    local row = rows[name]
    if name:find "^state%." then add(name, row[#row], { B, table.unpack(row.shape_last) }) end
  end
  add("logits", over_time(rows.logits), { B, T, table.unpack(rows.logits.shape) })
  if options.targets then
    if options.gradients == false then
      add("loss", core.no_grad(function() return by_name.logits.value:cross_entropy(options.targets) end), {})
    else
      gradients(model, tokens, options.targets, add)
    end
  end
  return setmetatable(list, { __index = by_name })
end

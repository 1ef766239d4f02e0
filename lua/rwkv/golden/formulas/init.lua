-- Every version as a list of lines: a name, what it is computed from, how. All that is found out about somebody else's numbers
-- is found out with it: any line can be computed from any numbers, theirs for instance, in any arithmetic (machine.lua), and
-- a mistake is an edit of a line (../mistakes). That the lines are right is tested against the reference.
--   formulas.of(config) -> a book, or nil and why there is none
--   book.named: by name; book.first: where the first line of a key stands. book.lines: in the order of computation, each { name = "blocks.1.att.w", key = "att.w", layer = 1, operands = { names },
--     f = function(m, c, operands...) -> value, text = "its formula", tag = "v7.3" in PAPER_NOTES.md }
--   formulas.run(book, env) -> env.values
-- Operands are names of lines, "@NAME" parameters, "#tokens" the tokens [B,T]. Values are [B,T,..], but for those that are the
-- same at all positions. c: the sizes, and what is the version's own in many lines (eps, how heads are cut).
local core = require "rwkv.core"
local frame = require "rwkv.golden.formulas.frame"
local versions = require "rwkv.versions"

local formulas = {}

-- What several lines of a version have in common; a mistake may change it.
local function conventions(config)
  local c = {}
  for name, value in pairs(config) do c[name] = value end
  c.facts = versions.of(c.version)
  c.dim_att = c.dim_att or c.dim
  c.heads = c.head_size and c.dim_att // c.head_size or 1
  c.eps = { layer = 1e-5, group = c.facts.group_eps, key = 1e-12, sums = c.facts.sums_eps }
  function c.split(x) return x:reshape(x:size(1), x:size(2), c.heads, -1) end -- [B,T,A] -> [B,T,H,N]
  function c.join(x) return x:reshape(x:size(1), x:size(2), -1) end
  function c.carry(S) return S end -- (S, t): the state of token t - 1 as token t finds it; t from 2 on
  return c
end

-- ---- lines ----

local Book = {}
Book.__index = Book

-- full: how an operand is named in this place (Book:part)
function Book:add(name, operands, f, text, tag, full)
  local layer = tonumber(name:match "^blocks%.(%d+)%." or name:match "^state%.(%d+)%.")
  local key = name:gsub("^blocks%.%d+%.", ""):gsub("^state%.%d+%.", "state.")
  local line = { name = name, key = key, layer = layer, operands = operands, f = f, text = text, tag = tag,
    full = full or function(operand) return operand end, at = #self.lines + 1 }
  self.lines[line.at], self.named[name] = line, line
  self.first[key] = self.first[key] or line.at
end

-- How a part of a layer ("att", "ffn") names lines and operands: "k" is of the part, "att.k" of the layer, "state.att_kv" one of
-- its states, "first.v" of layer 0, "@k_k" a parameter of the part (stored under another name in v1), "/ln0.x" as it stands.
function Book:part(layer, part, stored)
  local block, names = ("blocks.%d."):format(layer), versions.of(self.config.version).names
  local function full(name)
    if name:find "^[/#]" then return (name:gsub("^/", "")) end
    if name:find "^@" then return "@" .. block .. (stored or part) .. "." .. (names[name:sub(2)] or name:sub(2)) end
    if name:find "^state%." then return ("state.%d.%s"):format(layer, name:sub(7)) end
    if name:find "^first%." then return "blocks.0." .. part .. name:sub(6) end
    return block .. (name:find "%." and "" or part .. ".") .. name
  end
  return function(name, operands, f, text, tag)
    local list = {}
    for i, operand in ipairs(operands) do list[i] = full(operand) end
    self:add(full(name), list, f, text, tag, full)
  end
end

local books = setmetatable({}, { __mode = "k" })

function formulas.of(config)
  if books[config] then return books[config] end
  local facts = versions.of(config.version)
  local other = config.hooks and "hooks" or config.pre_ffn and "a channel mixing in the place of a time mixing (ffnPre)"
    or config.tiny_att_layer and "tiny attention" or facts.copy_head == "possible" and config.head_qk and "a copy head in this version"
    or not facts.formulas and config.version
  if other then return nil, other end
  local book = setmetatable({ lines = {}, named = {}, first = {}, config = config }, Book)
  frame(book, conventions(config), setmetatable({}, { __index = function(_, name)
    return facts.lines[name] or require("rwkv.golden.formulas." .. facts.formulas)[name]
  end }))
  books[config] = book
  return book
end

-- ---- computing ----

-- What is computed, with what. fields = { machine =, tokens = [B,T] lists, weight = function(name) -> tensor or nil,
--   edits = { key = list of edits }, given = { name = tensor } that stand in the place of what is computed,
--   change = function(c), of the conventions, or nil, gradient = true if what is computed is to be differentiated }
function formulas.env(book, fields)
  local env = { values = {}, given = {}, edits = {}, layers = {} }
  for name, value in pairs(fields) do env[name] = value end
  env.c = conventions(book.config)
  env.c.B, env.c.T = #env.tokens, #env.tokens[1]
  if env.change then env.change(env.c) end
  return env
end

local function layer_of(env, layer)
  if not env.layers[layer or -1] then env.layers[layer or -1] = setmetatable({ layer = layer }, { __index = env.c }) end
  return env.layers[layer or -1]
end

-- Operands with some of them changed: { [i] = name, or function(layer, c) -> name, or nil to leave it }.
local function changed(line, operands, change, c)
  local list = table.move(operands, 1, #operands, 1, {})
  for i, name in pairs(change) do
    if type(name) == "function" then name = name(line.layer, c) end
    if name then list[i] = line.full(name) end
  end
  return list
end

local function wrapped(f, around)
  return function(m, c, ...) return around(f, m, c, ...) end
end

-- How a line is computed with the edits (../mistakes) that are made in its layer: f, operands, what changes the value after.
local function edited(env, line)
  local c, f, operands, after = layer_of(env, line.layer), line.f, line.operands, {}
  for _, edit in ipairs(env.edits[line.key] or {}) do
    if not edit.only or edit.only(line.layer, c) then
      f = edit.f or f
      if edit.around then f = wrapped(f, edit.around) end
      if edit.operands then operands = changed(line, operands, edit.operands, c) end
      if edit.after then after[#after + 1] = edit.after end
    end
  end
  return f, operands, after
end

-- Theirs, if it is given; otherwise what was computed.
local function operand(env, name)
  if name == "#tokens" then return env.tokens end
  if name:find "^@" then return env.weight(name:sub(2)) end
  local value = env.given[name]
  if value == nil then value = env.values[name] end
  return value
end

-- The value of a line whose operands are there.
function formulas.line(env, line)
  local c, m = layer_of(env, line.layer), env.machine
  local f, operands, after = edited(env, line)
  local arguments = {}
  for i, name in ipairs(operands) do arguments[i] = operand(env, name) end
  local value = f(m, c, table.unpack(arguments, 1, #operands))
  for _, g in ipairs(after) do value = g(value, m, c, table.unpack(arguments, 1, #operands)) end
  return value
end

-- The lines that a line's value is computed with, itself last, in order; what is given is not computed. borders: the names of
-- what is given, and used.
function formulas.inside(book, env, line)
  local list, borders, seen = {}, {}, {}
  local function visit(l)
    seen[l.name] = true
    local _, operands = edited(env, l)
    for _, name in ipairs(operands) do
      if not name:find "^[@#]" and not seen[name] then
        if env.given[name] ~= nil then
          seen[name], borders[#borders + 1] = true, name
        else
          visit(book.named[name] or error("no line " .. name))
        end
      end
    end
    list[#list + 1] = l
  end
  visit(line)
  return list, borders
end

local function compute(env, line)
  local value = env.gradient and formulas.line(env, line) or core.no_grad(formulas.line, env, line)
  env.values[line.name] = value
  return value
end

-- The value of a line, from what is given and what was computed before.
function formulas.value(book, env, line)
  for _, l in ipairs(formulas.inside(book, env, line)) do
    if env.values[l.name] == nil then compute(env, l) end
  end
  return env.values[line.name]
end

-- All lines in order; seen(line, value) is told of each. An edit may take as operand what stands later.
function formulas.run(book, env, seen)
  for _, line in ipairs(book.lines) do
    local value = env.values[line.name]
    if value == nil then value = next(env.edits) and formulas.value(book, env, line) or compute(env, line) end
    if seen then seen(line, value) end
  end
  return env.values
end

return formulas

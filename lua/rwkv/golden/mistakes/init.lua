-- Known mistakes: what goes wrong in other implementations, each as an edit of the lines (../formulas). An entry:
--   id       a short name, stable. Several entries may have it: the same mistake, made at another line
--   title    what was done, and after "instead of" or in brackets what is right
--   of       a pattern of the versions it can be made in, and of those that their facts call kin. A version's own stand in its facts
--   needs    a fact without which a version cannot have it
--   family   "formula", "assembly", "carrying", "handing over", "numbers" or "training"
--   edits    { [key of a line] = edit }: an edit is made in every layer that has the line, or in those that only(layer, c) says;
--              f(m, c, operands...)             in the place of the line's own
--              around(f, m, c, operands...)     calls the line's own, f(m, c, operands...), with changed operands or sizes
--              operands = { [i] = name }        other operands, or more of them, named as the line's part names them ("k0",
--                                               "@value.weight", "/blocks.0.att.v" as it stands), or function(layer, c) -> name,
--                                               nil to leave it
--              after(value, m, c, operands...)  changes what the line gives
--   change   function(c): changes the conventions that lines have in common (c.eps, c.split, c.join)
--   weight   function(name, of, c) -> tensor, or nil to leave it: another tensor in the place of a parameter; of(name): any one
--   tokens   function(tokens) -> tokens: what was read in the place of the pack's tokens. Seen by whole runs only
--   view     function(value, c) -> tensor: how a right tensor [B,T,..] was handed over
--   whole    true where a position depends on later ones: the first position alone does not tell what was done
--   layout   true where a view is another order of the same numbers, which is a note and no mistake
--   names    a pattern of the tensors that a view is of
--   sees     function(c) -> nil, or why a pack of these sizes cannot show it
local formulas = require "rwkv.golden.formulas"
local versions = require "rwkv.versions"

local mistakes = {}

local files = { "frame", "shift", "channel_mix", "time_mix", "v1", "v2_v3", "v4", "v5_v6", "v7", "assembly", "carrying", "handing_over", "numbers" }

local all
local function load_all()
  all = {}
  for _, name in ipairs(files) do
    for _, e in ipairs(require("rwkv.golden.mistakes." .. name)) do all[#all + 1] = e end
  end
  return all
end

-- Those that can be made in a version.
function mistakes.of(version)
  local list = {}
  local facts = versions.of(version)
  for _, e in ipairs(all or load_all()) do
    if versions.is(version, e.of) and (not e.needs or facts[e.needs]) then list[#list + 1] = e end
  end
  return table.move(facts.mistakes, 1, #facts.mistakes, #list + 1, list)
end

-- An environment (formulas.env) in which the mistakes of a list are made. fields: as formulas.env takes them.
function mistakes.env(book, fields, list)
  local q = {}
  for name, value in pairs(fields) do q[name] = value end
  q.edits = {}
  for _, mistake in ipairs(list) do
    for key, edit in pairs(mistake.edits or {}) do
      q.edits[key] = q.edits[key] or {}
      table.insert(q.edits[key], edit)
    end
  end
  for _, mistake in ipairs(list) do if mistake.tokens then q.tokens = mistake.tokens(q.tokens) end end
  function q.change(c)
    for _, mistake in ipairs(list) do if mistake.change then mistake.change(c) end end
  end
  local env
  for _, mistake in ipairs(list) do
    local before = q.weight
    if mistake.weight then
      function q.weight(name) return mistake.weight(name, before, env.c) or before(name) end
    end
  end
  env = formulas.env(book, q)
  return env
end

return mistakes

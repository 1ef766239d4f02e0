-- Mistakes in how a model is put together: layers, parts, the residual stream, which weights stand where. What an entry is:
-- init.lua.
local core = require "rwkv.core"
local formulas = require "rwkv.golden.formulas"
local versions = require "rwkv.versions"

local list = {}
local function mistake(id, title, of, e)
  e.id, e.title, e.of, e.family = id, title, of, "assembly"
  list[#list + 1] = e
end
local any = "^v"

-- The line that goes into a layer, from 0.
local function into(layer, c)
  if layer > 0 then return ("blocks.%d.out.x"):format(layer - 1) end
  return versions.of(c.version).embed_norm and "blocks.0.ln0.x" or "emb.x"
end

-- ---- layers ----

mistake("last-layer-missing", "the last layer is missing", any, {
  edits = { ["ln_out.y"] = { operands = { function(_, c) return into(c.layers - 1, c) end } } },
})

-- The first layer that is computed takes what went into layer 0, and no value residual.
local function first(_, c) return into(0, c) end
local function second(layer) return layer == 1 end
mistake("first-layer-missing", "the first layer is missing; in RWKV-7 v_first is that of the next one", any, { edits = {
  ["att.x"] = { only = second, operands = { first } },
  ["mid.x"] = { only = second, operands = { function(_, c) return not versions.of(c.version).adds_to_normed and into(0, c) or nil end } },
  ["att.v"] = {
    only = function(layer, c) return versions.of(c.version).value_residual and layer > 0 end,
    operands = { [2] = function(layer) return layer > 1 and "/blocks.1.att.v" or nil end },
    around = function(f, m, c, v, ...) return c.layer == 1 and v or f(m, c, v, ...) end,
  },
  ["ln_out.y"] = { only = function(_, c) return c.layers == 1 end, operands = { first } },
} })

-- The weights of layer g(layer, how many there are) in the place of a layer's own, where that layer has them.
local function weights_of(id, title, least, g)
  mistake(id, title, any, {
    weight = function(name, of, c)
      local layer, rest = name:match "^blocks%.(%d+)(%..*)$"
      return layer and not rest:find "ln0" and of(("blocks.%d%s"):format(g(tonumber(layer), c.layers), rest)) or nil
    end,
    sees = function(c) return c.layers < least and ("it has less than %d layers"):format(least) or nil end,
  })
end
weights_of("layer-0-weights-everywhere", "every layer is computed with the weights of layer 0", 2, function() return 0 end)
weights_of("last-layer-weights-everywhere", "every layer is computed with the weights of the last one", 2, function(_, n) return n - 1 end)
weights_of("layers-reversed", "the layers stand in the opposite order", 2, function(layer, n) return n - 1 - layer end)
weights_of("layers-alphabetical", "the layers stand in the order of their names: 0, 1, 10, 11, 2 ..", 11, function(layer, n)
  local names = {}
  for i = 1, n do names[i] = tostring(i - 1) end
  table.sort(names)
  return tonumber(names[layer + 1])
end)

-- ---- norms, head ----

mistake("ln0-missing", "ln0, the norm of the embedding, is missing", "^v[3-7]", {
  needs = "embed_norm", edits = { ["ln0.x"] = { f = function(_, _, x) return x end } },
})
mistake("norms-exchanged", "ln1 and ln2 are exchanged", any, {
  weight = function(name, of)
    local block, n, rest = name:match "^(.*%.ln)([12])(%..*)$"
    return block and of(block .. 3 - n .. rest) or nil
  end,
})
mistake("tied-head", "the head is the embedding, as with tied weights, instead of head.weight", any, {
  weight = function(name, of) return name == "head.weight" and (of "emb.weight" or of "tok_emb.weight") or nil end,
})

-- ---- weights of the time mixing ----

local function exchanged(a, b)
  mistake(("%s-%s-exchanged"):format(a, b), ("the weights of %s and %s of the time mixing are exchanged"):format(a, b), any, {
    weight = function(name, of)
      local block, which, rest = name:match "^(blocks%.%d+%.attn?%.)(%l+)(%..*)$"
      local other = which == a and b or which == b and a
      return other and of(block .. other .. rest) or nil
    end,
  })
end
exchanged("key", "value")
exchanged("receptance", "key")
exchanged("receptance", "value")

-- Each is projected as it should be, and then taken for the other.
local function taken_for(k, v, of)
  mistake("keys-taken-for-values", "keys and values are exchanged after their projections", of, { edits = {
    ["att." .. k] = { operands = { "xv", "@value.weight" } }, ["att." .. v] = { operands = { "xk", "@key.weight" } },
  } })
end
taken_for("k", "v", "^v[3-6]")
taken_for("k0", "v0", "^v7")

local function transposed(id, title, of, which)
  mistake("transposed-" .. id, title, of, {
    weight = function(name, weight)
      local w = name:find("^blocks%.%d+%.attn?%." .. which .. "%.weight$") and not name:find "ln_x" and weight(name)
      return w and w:size(1) == w:size(2) and w:transpose(1, 2) or nil
    end,
    sees = function(c) return c.dim_att ~= c.dim and "the matrices are not square" or nil end,
  })
end
for _, name in ipairs { "receptance", "key", "value", "output" } do
  transposed(name, ("the %s matrix of the time mixing is transposed"):format(name), any, name)
end
for _, of in ipairs { "^v5.[12]$", "^v6$" } do transposed("gate", "the gate matrix of the time mixing is transposed", of, "gate") end
transposed("all", "all square matrices of the time mixing are transposed", any, "%l+")

-- ---- heads ----

-- c with heads cut as [N,H]; and [..,A] brought from that order into the usual one, and back.
local function interleaved(c)
  return setmetatable({
    split = function(x) return x:reshape(x:size(1), x:size(2), -1, c.heads):transpose(3, 4) end,
    join = function(x) return x:transpose(3, 4):reshape(x:size(1), x:size(2), -1) end,
  }, { __index = c })
end
local function by_head(x, c)
  local shape = x:shape()
  return x:reshape(-1, x:size(-1) // c.heads, c.heads):transpose(2, 3):reshape(shape)
end
local function by_place(x, c)
  local shape = x:shape()
  return x:reshape(-1, c.heads, x:size(-1) // c.heads):transpose(2, 3):reshape(shape)
end

local function cut(f, m, c, ...) return f(m, interleaved(c), ...) end
local function cut_norm(f, m, c, y, w, b) return by_place(f(m, c, by_head(y, c), by_head(w, c), by_head(b, c)), c) end
local function one_head(c) return c.heads == 1 and "it has one head" or nil end
local heads = "channels are cut into heads as [N,H] instead of [H,N]"
mistake("heads-interleaved", heads, "^v[567]", { sees = one_head, edits = {
  ["state.att_kv"] = { around = cut }, ["att.wkv"] = { around = cut }, ["att.norm"] = { around = cut_norm },
  ["att.kappa"] = { around = cut }, ["att.ungated"] = { around = cut },
} })
mistake("heads-interleaved", heads, "^v1$", { sees = one_head, edits = {
  ["att.y"] = { around = function(f, m, c, k, v, ...) return by_place(f(m, c, by_head(k, c), by_head(v, c), ...), c) end },
} })

-- [H] -> [H,N], as by_channel of the lines reads it where it is complete.
mistake("per-head-by-place", "decay and bonus, one number a head, are taken by the place in the head, as if 5.2's", "^v5.[01]$", {
  weight = function(name, of, c)
    if not name:find "time_decay$" and not name:find "time_f%l+$" then return nil end
    local row, all = of(name):reshape(-1):tolist(), {}
    for i = 0, c.dim_att - 1 do all[i + 1] = row[i % (c.dim_att // c.heads) % c.heads + 1] end
    return core.tensor(all)
  end,
  sees = one_head,
})

-- ---- token shift ----

local function own(_, _, _, x) return x end
local function unshifted(part, what)
  mistake("shift-missing-" .. part, ("no token shift in %s mixing: every mix is of the token itself"):format(what), any, {
    edits = { [part .. ".prev"] = { after = own } },
  })
end
unshifted("att", "time")
unshifted("ffn", "channel")

-- One mix of those that a part has, by the lines of each version.
local function mixes(version)
  local book, found, count = formulas.of { version = version, layers = 1, dim = 2, head_size = 2 }, {}, {}
  for _, line in ipairs(book.lines) do
    local part, name = line.key:match "^(%l+)%.(%l+)$"
    if line.operands[2] == ("blocks.0.%s.prev"):format(part) then
      found[#found + 1], count[part] = { key = line.key, part = part, name = name }, (count[part] or 0) + 1
    end
  end
  return found, count
end
for _, version in ipairs(core.versions()) do
  local found, count = mixes(version)
  for _, mix in ipairs(found) do
    if count[mix.part] > 1 then
      mistake(("shift-missing-%s-%s"):format(mix.part, mix.name), ("no token shift in %s: the mix is of the token itself"):format(mix.key),
        ("^%s$"):format(version), { edits = { [mix.key] = { operands = { [2] = "x" } } } })
    end
  end
end
mistake("mixes-alphabetical", "the six mixes stand in the order a, g, k, r, v, w and are read as r, w, k, v, a, g", "^v7$", {
  weight = function(name, of)
    local block, mix = name:match "^(.*%.att%.x_)(%l)$"
    if not block then block, mix = name:match "^(.*%.att%.time_maa_)(%l)$" end -- rc4a
    return mix and of(block .. ({ r = "a", w = "g", k = "k", v = "r", a = "v", g = "w" })[mix]) or nil
  end,
})

-- ---- residual stream ----

local function residual(part, what, sum)
  mistake("residual-twice-" .. part, ("the output of %s mixing is added twice"):format(what), any, {
    edits = { [sum] = { around = function(f, m, c, x, out) return m.add(f(m, c, x, out), out) end } },
  })
  mistake("residual-missing-" .. part, ("the output of %s mixing replaces the residual stream instead of being added"):format(what), any, {
    edits = { [sum] = { f = function(_, _, _, out) return out end } },
  })
end
residual("att", "time", "mid.x")
residual("ffn", "channel", "out.x")
mistake("parallel-ffn", "channel mixing reads what went into the layer instead of the stream after time mixing", "^v[^2]", {
  edits = { ["ffn.x"] = { operands = { into } } },
})

-- The stream is halved after every sixth layer; to match it, what later layers add is halved as often.
local function halvings(layer) return 2.0 ^ (layer // 6) end
local function halved(x, m, c) return c.layer % 6 == 5 and m.h(x * 0.5) or x end
local function less(x, m, c) return m.h(x * (1 / halvings(c.layer))) end
local function shallow(c) return c.layers < 6 and "it has less than six layers" or nil end
mistake("residual-rescaled", "the residual stream is halved every 6 layers, with matching weights: the norms' eps counts for more", "^v[^2]",
  { sees = shallow, edits = { ["out.x"] = { after = halved }, ["att.out"] = { after = less }, ["ffn.out"] = { after = less } } })
mistake("residual-rescaled-unmatched", "the residual stream is halved every 6 layers, but not the weights of what is added", "^v[^2]",
  { sees = shallow, edits = { ["out.x"] = { after = halved } } })

-- ---- value residual ----

mistake("value-residual-of-layer-1", "the value residual of later layers takes layer 1's v instead of layer 0's", "^v7$", {
  edits = { ["att.v"] = { only = function(layer) return layer > 1 end, operands = { [2] = "/blocks.1.att.v" } } },
  sees = function(c) return c.layers < 3 and "it has less than three layers" or nil end,
})

return list

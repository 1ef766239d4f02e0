-- ROSA's layer (RWKV-LM, RWKV-v8/251105_reverse_run.py, 260212_rosa1bitLM_L12.py; 4 bits: 260222_rosa4bitLM_L12.py): q, k and v, each of
-- a mix with the token before, are read as bits; see rwkv.rosa. The state grows with the text. Initial values as there: no mix, linear
-- maps as torch.nn.Linear has them, emb 1.
local core = require "rwkv.core"

-- none: what stands where nothing was found: -emb, as for a bit of 0, or 0
local function layer(name, bits, none)
  return {
    kind = "time_mix", name = name,
    params = function(d)
      local p = { emb = { d.C, init = 1 } }
      for _, s in ipairs { "q", "k", "v", "o" } do
        p[s .. ".weight"] = { d.C, d.C, init = "uniform", gain = 1 / math.sqrt(d.C) }
        p[s .. ".bias"] = { d.C, init = "uniform", gain = 1 / math.sqrt(d.C) }
        if s ~= "o" then p["x_" .. s] = { d.C, init = 0 } end
      end
      return p
    end,
    state = function(d)
      if d.C % bits ~= 0 then error(("%s: %d channels are no multiple of %d bits"):format(name, d.C, bits), 0) end
      return { shift = { d.C }, queries = { "tokens", d.C }, keys = { "tokens", d.C }, values = { "tokens", d.C }, runs = { "tokens", d.C // bits } }
    end,
    apply = function(x, s, p)
      local prev, y
      prev, s.shift = x:shift(s.shift)
      local function map(which) return x:lerp(prev, p["x_" .. which]):linear(p[which .. ".weight"], p[which .. ".bias"]) end
      y, s.queries, s.keys, s.values, s.runs = core.rosa(map "q", map "k", map "v", -p.emb, p.emb, bits, none, s.queries, s.keys,
        s.values, s.runs)
      return y:linear(p["o.weight"], p["o.bias"])
    end,
  }
end

return { rosa = layer("rosa", 1, "low"), rosa_4bit = layer("rosa_4bit", 4, "zero") }

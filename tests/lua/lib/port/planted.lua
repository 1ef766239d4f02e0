-- Which mistakes a port makes, by the ids of lua/rwkv/golden/mistakes.
--   planted(mistakes) -> wrong; mistakes: nil, an id or a list of ids
--   wrong(id); wrong.every(id, t): "id" itself, or "id-every-N" before token t of a chunk of N (t from 1)
local nearest = require("tests.lua.lib.port.numbers").nearest

return function(mistakes)
  local list = type(mistakes) == "string" and { mistakes } or mistakes or {}
  local set = {}
  for _, id in ipairs(list) do set[id] = true end
  local wrong = setmetatable({}, { __call = function(_, id) return set[id] end })

  -- The number after a prefix: wrong.number "eps-layer-norm-" is 0.001 where "eps-layer-norm-1e-3" is planted.
  function wrong.number(prefix)
    for _, id in ipairs(list) do
      local value = id:sub(1, #prefix) == prefix and tonumber(id:sub(#prefix + 1))
      if value then return value end
    end
  end

  function wrong.every(id, t)
    local chunk = wrong.number(id .. "-every-")
    return set[id] or chunk and t > 1 and (t - 1) % chunk == 0
  end

  -- The last token of a chunk of N, where "id-every-N" is planted.
  function wrong.at_end_of(id, t)
    local chunk = wrong.number(id .. "-every-")
    return chunk and t % chunk == 0
  end

  -- How many times token t of T is absorbed by the state.
  function wrong.times_absorbed(t, T)
    return wrong.at_end_of("chunk-border-missing", t) and 0 or t < T and wrong.at_end_of("chunk-border-twice", t) and 2 or 1
  end

  -- x as "rounded-bf16-NAME", "rounded-fp16-NAME" leave it.
  function wrong.rounded(name, x)
    for _, format in ipairs { "bf16", "fp16" } do
      if set[("rounded-%s-%s"):format(format, name)] then
        local y = { shape = x.shape }
        for i = 1, #x do y[i] = nearest[format](x[i]) end
        x = y
      end
    end
    return x
  end
  return wrong
end

-- Token shift: the input of the token before, and mixes of the two.
local shift = {}

local function before(m, _, x) return m.before(x) end
local function mix(m, _, x, prev, mu) return m.mix(x, prev, mu:reshape(-1)) end                 -- mu weighs the token itself
local function lerp(m, _, x, prev, mu) return m.lerp(x, m.sub(prev, x), mu:reshape(-1)) end     -- the one before

-- Adds "prev" and the mixes { { name, parameter }, .. } of a part. state: where the part keeps its input.
function shift.lines(line, c, state, mixes, tag)
  line("prev", { state }, before, "x of the token before, zeros before the first", tag)
  local late = c.facts.lerps_to_prev
  for _, e in ipairs(mixes) do
    line(e[1], { "x", "prev", "@" .. e[2] }, late and lerp or mix, late and "x + (prev - x) mu" or "mu x + (1 - mu) prev", tag)
  end
end

-- The mixes of v6 and its kin, whose weights depend on the token.
function shift.low_rank_lines(line, c)
  local mixes = c.facts.low_mixes
  local w1, w2 = "@" .. mixes.w1, "@" .. mixes.w2
  shift.lines(line, c, "state.att_xx", {}, "v6.1")
  line("low", { "x", "prev", "@time_maa_x", w1 }, function(m, _, x, prev, mu, w)
    return m.h(m.matmul(m.lerp(x, m.sub(prev, x), mu:reshape(-1)), w):tanh())
  end, "tanh((x + (prev - x) mu_x) w1)", "v6.1")
  for i, s in ipairs(mixes.streams) do
    line("x" .. s, { "x", "prev", "low", "@time_maa_" .. s, w2 }, function(m, k, x, prev, low, mu, w)
      local n, rank = k.mix_order and k.mix_order[s] or i, w:size(2)
      local up = m.matmul(low:slice(3, (n - 1) * rank + 1, n * rank), w:slice(1, n, n):reshape(rank, -1))
      return m.lerp(x, m.sub(prev, x), m.add(mu:reshape(-1), up))
    end, ("x + (prev - x) (mu_%s + low_%d w2[%d])"):format(s, i, i), "v6.2")
  end
end

return shift

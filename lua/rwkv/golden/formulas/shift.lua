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

return shift

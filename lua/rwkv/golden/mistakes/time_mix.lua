-- Mistakes that the time mixings of several versions can have: of the decay, of the norm of heads, of how the state is written.
-- What an entry is: init.lua.
local list = {}
local function mistake(e)
  e.family = e.family or "formula"
  list[#list + 1] = e
end

-- ---- decay ----

-- A log-decay is wrong where it is made, or it is right there and wrong where the state is decayed.
local function decay(id, title, change)
  local used = { around = function(f, m, c, w, ...) return f(m, c, change(w), ...) end }
  mistake { id = id, title = title, of = "^v[2-7]", edits = { ["att.w"] = { after = function(w) return change(w) end } } }
  mistake { id = id, title = title, of = "^v[2-7]", edits = {
    ["state.att_aa"] = used, ["state.att_bb"] = used, ["state.att_pp"] = used, ["state.att_kv"] = used } }
end
decay("decay-twice", "decay applied twice (e^2w for e^w)", function(w) return 2 * w end)
decay("decay-missing", "no decay (e^w = 1)", function(w) return w * 0 end)
decay("decay-clamp", "a decay slower than .9933 a step (e^w with w = -e^-5) is cut off there", function(w)
  return w:minimum(-math.exp(-5))
end)

-- ---- norm ----

local grouped = "^v[567][^b]*$" -- v6b has one norm over all channels
local function norm_eps(id, title, eps) -- eps(N)
  mistake { id = id, title = title, of = grouped, change = function(c) c.eps.group = eps(c.dim_att // c.heads) end,
    sees = function(c)
      local N = c.dim_att // c.heads
      return math.abs(eps(N) - 64e-5) < 1e-9 and ("at head size %d it is the same"):format(N) or nil
    end }
end
norm_eps("norm-eps", "group-norm eps 1e-5 instead of 64e-5", function() return 1e-5 end)
norm_eps("norm-eps-by-head", "group-norm eps grows with the head size, 1e-5 * N instead of 64e-5", function(N) return 1e-5 * N end)
norm_eps("norm-eps-squared", "group-norm eps 1e-5 * N^2 instead of 64e-5", function(N) return 1e-5 * N * N end)
mistake { id = "norm-over-all", title = "one norm over all channels instead of one for each head", of = grouped,
  edits = { ["att.norm"] = { f = function(m, c, y, w, b) return m.layer_norm(y, w, b, c.eps.group) end } },
  sees = function(c) return c.heads == 1 and "it has one head" or nil end }

-- ---- state ----

mistake { id = "state-transposed", title = "the state is written transposed (v5, v6: [key, value], v7: [value, key]); the rest is right",
  of = "^v[5-7]", family = "handing over", layout = true, names = "att_kv$", view = function(S, c)
    local N = c.dim_att // c.heads
    return S:reshape(-1, N, N):transpose(2, 3):reshape(S:shape())
  end }

return list

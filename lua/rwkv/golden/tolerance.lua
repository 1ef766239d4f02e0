-- How far off a tensor may be: what its arithmetic costs, measured, times a factor.
local compare = require "rwkv.golden.compare"
local mistakes = require "rwkv.golden.mistakes"
local formulas = require "rwkv.golden.formulas"
local machine = require "rwkv.golden.machine"
local names = require "rwkv.golden.names"
local profile = require "rwkv.golden.profile"

local tolerance = {}

-- By profile: the tolerance of a tensor whose error the pack does not give; how many times the profile's worst error and rms
-- another implementation in the same arithmetic may have; the least tolerance.
tolerance.profiles = {
  f64 = { default = 1e-10, least = 1e-10 },
  f32 = { default = 1e-4, worst = 20, rms = 20, least = 1e-6 },
  fp16 = { default = 3e-2, worst = 3, rms = 2, least = 2e-3 },
  bf16 = { default = 2e-1, worst = 3, rms = 2, least = 1e-2 },
}

-- (name, dtype) -> { worst =, rms = }, by what the pack says of a profile; fixed: one for all, infinite if there is none. Weights are
-- only rounded.
function tolerance.by(p, format, fixed)
  return function(name, dtype)
    if fixed < math.huge then return { worst = fixed, rms = fixed } end
    local kind = format ~= "" and format or dtype == "f16" and "fp16" or tolerance.profiles[dtype] and dtype or "f64"
    local e, t = (p.errors[kind] or {})[names.short(name)], tolerance.profiles[kind]
    if names.kind(name) == "weight" then return { worst = t.least, rms = t.least } end
    if not e then return { worst = t.default, rms = t.default } end
    return { worst = math.max(t.worst * e[1], t.least), rms = math.max(t.rms * e[2], t.least / 3) }
  end
end

-- A unit in the last place of numbers about 1, or some.
local arithmetic_step = { f32 = 2 ^ -20, bf16 = 2 ^ -8, fp16 = 2 ^ -10 }

-- What half precision may cost a tensor: a multiple of what it costs the lines in between, computed from the same numbers.
function tolerance.here(p, book, weights, format)
  local exact = machine "f64"
  local held = profile.weights(machine(format), weights, p.config.version)
  local fields = { machine = exact, tokens = p.tokens, weight = held }
  local of = tolerance.profiles[format:match "^%w+"]
  local least = arithmetic_step[format:match "^%w+"]
  local float
  if format == "f32" then float = tolerance.by(p, "f32", math.huge) end
  if format:find "weights" then of = tolerance.profiles.f32 end
  return function(observation, value, env)
    local ideal = mistakes.env(book, fields, {})
    ideal.given = env.given
    local true_value = formulas.value(book, ideal, observation.line)
    local name, shape = observation.name, value:shape()
    local worst, rms = compare.errors({ tokens = p.tokens }, name, { value = true_value, shape = shape }, { value = value, shape = shape })
    local all = float and float(observation.name, "f32") or { worst = 0, rms = 0 } -- sums inside a product round, too
    return { worst = math.max(of.worst * worst, least, all.worst), rms = math.max(of.rms * rms, least / 2, all.rms), own = rms }
  end
end

return tolerance

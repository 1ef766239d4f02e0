-- Plants mistakes in the independent port and asks golden diff for them.
--   planted_diff.pack(dir, version, options of golden make) -> { path =, version =, weights = lists for the port, tokens =, c = sizes }
--   planted_diff.write(path, out, dtype, pattern): what of a port's numbers has a name that fits
--   planted_diff.named(pack, path, options) -> list of sets of ids: the causes of each finding, then those of the notes; and
--     the whole result
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local diff = require "rwkv.golden.diff"
local formulas = require "rwkv.golden.formulas"
local machine = require "rwkv.golden.machine"
local pack = require "rwkv.golden.pack"

local planted_diff = {}

function planted_diff.pack(dir, version, options)
  local path = ("%s/%s.safetensors"):format(dir, version)
  local out, status = check.shell(("%s golden make %s --no-gradients --no-sensitivity %s %s"):format(check.program, version,
    options, path))
  assert(status == 0, out)
  local p, weights = pack.read(path), {}
  for name, e in pairs(p.tensors) do
    if not name:find "^trace" and name ~= "tokens" and name ~= "targets" then
      weights[name] = e.value:reshape(-1):tolist()
      weights[name].shape = e.shape
    end
  end
  local book = assert(formulas.of(p.config))
  local c = formulas.env(book, { machine = machine "f64", tokens = p.tokens, weight = function() end }).c
  return { path = path, version = version, weights = weights, tokens = p.tokens, c = c }
end

function planted_diff.write(path, out, dtype, pattern)
  local list = {}
  for name, e in pairs(out) do
    if name:find(pattern or "") then
      list[#list + 1] = { name = name, value = rwkv.tensor({ table.unpack(e) }), shape = e.shape, dtype = dtype }
    end
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  rwkv.save_tensors(path, list)
end

local options = { tol = math.huge, profile = "", rename = "", skip = "", only = "", weights = "", no_causes = false, against = "", seconds = 60 }

local function ids_of(finding)
  local set = {}
  for _, cause in ipairs(finding.causes or {}) do
    for _, mistake in ipairs(cause.mistakes) do set[mistake.id] = true end
  end
  return set
end

function planted_diff.named(p, path, o)
  local all = setmetatable({}, { __index = function(_, name) return o and o[name] or options[name] end })
  local result = diff.compare(p.path, path, all)
  local list, d = {}, result.diagnosis or { findings = {}, notes = {} }
  for _, finding in ipairs(d.findings) do list[#list + 1] = ids_of(finding) end
  for _, note in ipairs(d.notes) do list[#list + 1] = ids_of(note) end
  collectgarbage()
  return list, result
end

return planted_diff

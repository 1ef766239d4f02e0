-- What the Lua tests share.
local check = {}
local names = {}

-- Runs one test; its lines are counted by tests/run.sh.
function check.test(name, f)
  local ok, message = xpcall(f, debug.traceback)
  if not ok then
    print("[  FAILED  ] " .. name .. "\n" .. message)
    os.exit(1, true)
  end
  print("[       OK ] " .. name)
  names[#names + 1] = name
end

local function text(x)
  if type(x) ~= "table" then return tostring(x) end
  local parts = {}
  for i, v in ipairs(x) do parts[i] = text(v) end
  return "{" .. table.concat(parts, ", ") .. "}"
end

local function close(found, expected, tol)
  if type(expected) == "table" then
    if type(found) ~= "table" or #found ~= #expected then return false end
    for i = 1, #expected do
      if not close(found[i], expected[i], tol) then return false end
    end
    return true
  end
  if type(expected) == "number" and type(found) == "number" then
    return math.abs(found - expected) <= tol * math.max(1, math.abs(expected)) -- false for NaN
  end
  return found == expected
end

-- Numbers or nested lists of numbers, equal up to tol (default 0) relative to max(1, |expected|).
function check.equal(found, expected, tol)
  if not close(found, expected, tol or 0) then
    error(("found %s, expected %s"):format(text(found), text(expected)), 2)
  end
end

-- f must fail with a message that contains each of the given texts.
function check.fails(f, ...)
  local ok, message = pcall(f)
  if ok then error("expected a failure", 2) end
  for _, part in ipairs { ... } do
    if not tostring(message):find(part, 1, true) then
      error(("the message is '%s', expected '%s' in it"):format(message, part), 2)
    end
  end
end

-- A text must contain each of the given ones.
function check.has(found, ...)
  for _, part in ipairs { ... } do
    if not found:find(part, 1, true) then error(("expected '%s' in:\n%s"):format(part, found), 2) end
  end
end

-- The output (both streams) and the exit status of shell commands.
function check.shell(command)
  local p = io.popen("{ " .. command .. "\n} 2>&1")
  local out = p:read "a"
  local _, _, status = p:close()
  return out, status
end

-- The program that runs this test, for starting it again.
local first = 0
while arg[first - 1] do first = first - 1 end
check.program = arg[first]

return check

-- What a comparison found: for people, as TAP, as JUnit's XML.
local core = require "rwkv.core"
local names = require "rwkv.golden.names"
local verdict = require "rwkv.golden.verdict"
local visible = require "rwkv.visible"

local report = {}

local function number(x) return x and ("%.2e"):format(x) or "-" end

-- "layer 1, sequence 0, position 7, index [3]"
local function place(e)
  local f, parts = e.result.first, {}
  local layer = e.name:match "blocks%.(%d+)%." or e.name:match "state%.(%d+)%."
  if layer then parts[#parts + 1] = "layer " .. layer end
  if f.sequence and f.sequence > 0 then parts[#parts + 1] = "sequence " .. f.sequence end
  if f.position then parts[#parts + 1] = "position " .. f.position end
  parts[#parts + 1] = "index " .. f.index
  return table.concat(parts, ", ")
end

local function title(e)
  local short = names.short(e.name)
  return visible.line(e.theirs ~= e.name and e.theirs ~= short and ("%s (theirs: %s)"):format(short, e.theirs) or short)
end

-- One line about a tensor that is off.
local function finding(e)
  if e.result.problem then return ("%s %s"):format(title(e), e.result.problem) end
  local f, tol = e.result.first, e.result.tol
  local allowed = e.result.together and ("tolerance %.1e; rms of all %.2e, tolerance %.1e"):format(tol.worst, e.result.rms, tol.rms)
    or ("tolerance %.1e"):format(tol.worst)
  return ("%s: %s: found %.9g, expected %.9g (error %.2e, %s)"):format(title(e), place(e), f.found, f.expected, f.error, allowed)
end

-- ---- text ----

local function add_growth(out, r)
  local after, rows = false, {}
  for _, e in ipairs(r.list) do
    if after and not e.result.problem then rows[#rows + 1] = e end
    after = after or e == r.first
  end
  local list, last, parts = r.first.result.positions or {}, r.first.result.last or 0, {}
  for t = 0, last do
    local shown = last < 8 or t % (last // 6) == 0 or t == last or t == r.first.result.first.position
    if list[t] and shown then parts[#parts + 1] = ("%d: %s"):format(t, number(list[t])) end
  end
  if #parts > 1 then out("its error by position  " .. table.concat(parts, "  ")) end
  if #rows == 0 then return end
  out "the error after it"
  local step = math.max(1, (#rows + 17) // 18)
  for i = 1, #rows do
    local e = rows[i]
    local milestone = e.name:find "out%.x$" or e.name == "logits" or e.name == "loss" or i == 1
    if #rows <= 18 or milestone or (i % step == 0 and names.kind(e.name) ~= "grad") then
      out(("  %-28s %s%s"):format(title(e), number(e.result.worst), e.result.first and "" or "  within tolerance"))
    end
  end
end

function report.text(r)
  local lines = {}
  local function out(line) lines[#lines + 1] = visible.line(line) end
  local how = r.against and "each from their own numbers, in " .. r.against or r.fixed and ("tolerance %.1e"):format(r.fixed) or "tolerances of " .. (r.profile ~= "" and r.profile or "their dtypes")
  out(("%s against %s: %s, %d tensors compared, %s"):format(r.theirs, r.reference, r.version, #r.list, how))
  if #r.unknown > 0 then
    out(("not compared, the pack has nothing like it: %s%s"):format(table.concat(r.unknown, " ", 1, math.min(8, #r.unknown)),
      #r.unknown > 8 and " .." or ""))
  end
  for _, e in ipairs(r.list) do
    if e.result.note then out(("note: %s %s"):format(title(e), e.result.note)) end
  end
  if not r.first then
    local worst = r.list[1]
    for _, e in ipairs(r.list) do if e.result.worst > worst.result.worst then worst = e end end
    out(("all agree; the worst is %s: error %.2e, tolerance %.1e"):format(title(worst), worst.result.worst, worst.result.tol.worst))
  else
    out(("%d of %d are off; the first in the order of computation is"):format(r.off, #r.list))
    out("  " .. finding(r.first))
    add_growth(out, r)
  end
  verdict.add(out, r)
  return table.concat(lines, "\n") .. "\n"
end

-- ---- for machines ----

-- A description ends at a '#'; a text of the block below it stands in single quotes.
local function description(text) return (visible.line(text):gsub("[\\#]", "\\%0")) end

local function single_quoted(text) return "'" .. visible.line(text):gsub("'", "''") .. "'" end

function report.tap(r)
  local lines = { "TAP version 13", "1.." .. #r.list }
  for i, e in ipairs(r.list) do
    local off = e.result.first or e.result.problem
    lines[#lines + 1] = ("%s %d - %s"):format(off and "not ok" or "ok", i, description(title(e)))
    if off then
      lines[#lines + 1] = "  ---"
      lines[#lines + 1] = "  message: " .. single_quoted(finding(e))
      local cause = verdict.of_tensor(r, e)
      if cause then lines[#lines + 1] = "  cause: " .. single_quoted(cause) end
      lines[#lines + 1] = "  ..."
    end
  end
  return table.concat(lines, "\n") .. "\n"
end

local function xml(text)
  return (visible.line(text):gsub("[&<>\"]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }))
end

function report.junit(r)
  local lines = { '<?xml version="1.0" encoding="UTF-8"?>',
    ('<testsuite name="golden %s" tests="%d" failures="%d" errors="0" skipped="0">'):format(xml(r.version), #r.list, r.off or 0) }
  for _, e in ipairs(r.list) do
    local case = ('  <testcase classname="%s" name="%s"'):format(xml(names.kind(e.name)), xml(title(e)))
    if e.result.first or e.result.problem then
      local message = finding(e)
      local cause = verdict.of_tensor(r, e)
      if cause then message = message .. "; cause: " .. cause end
      lines[#lines + 1] = case .. ('><failure message="%s"/></testcase>'):format(xml(message))
    else
      lines[#lines + 1] = case .. "/>"
    end
  end
  lines[#lines + 1] = "</testsuite>"
  return table.concat(lines, "\n") .. "\n"
end

function report.write(path, text)
  if path == "-" then io.write(text) else core.write_file(path, text) end
end

return report

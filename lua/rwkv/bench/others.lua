-- What else the machine does while something is measured: the share of the processors' time that other programs took, which the
-- row says as `others`. Where it was too much it is measured again, `tries` times in all at most, and the quietest try counts.
-- Ours is the time of this process and of all that it started; time that the host of a virtual machine took away is others'.
local contents = require "rwkv.contents"
local core = require "rwkv.core"

local others = { most = 3 } -- tries, where --tries does not say

local bound = 0.05 -- above it a row is disturbed
local unsure = 2 -- hundredths of a second that the counters may be behind
local least = 0.1 -- seconds that are looked at, also where what is measured takes less

-- ---- the counters: hundredths of a second of processors, since the machine and this program began ----

local function read(...) return contents(string.format(...)) end

-- Of a process, of those that it started, and of those of them that ended.
local function time_of(process)
  local fields, sum, i = (read("/proc/%s/stat", process) or ""):match "^.*%) (.*)$", 0, 2 -- a name may have spaces
  for ticks in (fields or ""):gmatch "%S+" do
    i = i + 1
    if i >= 14 and i <= 17 then sum = sum + tonumber(ticks) end
  end
  for child in (read("/proc/%s/task/%s/children", process, process) or ""):gmatch "%d+" do sum = sum + time_of(child) end
  return sum
end

-- { total = of all processors, busy = what was used of it, own = of that ours }; nil where the system does not say.
function others.counters()
  local line = (read "/proc/stat" or ""):match "^cpu +([^\n]*)"
  local process = (read "/proc/self/stat" or ""):match "^%d+"
  if not line or not process or not read("/proc/self/task/%s/children", process) then return nil end
  local total, idle, i = 0, 0, 0
  for ticks in line:gmatch "%d+" do -- user nice system idle iowait irq softirq steal; then guests, which are users, too
    i = i + 1
    if i <= 8 then total = total + tonumber(ticks) end
    if i == 4 or i == 5 then idle = idle + tonumber(ticks) end
  end
  return { total = total, busy = total - idle, own = time_of(process) }
end

-- The share of the processors' time that others took between two readings of the counters; nil where there are none.
function others.share(before, after)
  local total = before and after and after.total - before.total
  if not total then return nil end
  local foreign = (after.busy - before.busy) - (after.own - before.own)
  return foreign > unsure and total > 0 and math.min(1, math.floor(1000 * foreign / total + 0.5) / 1000) or 0
end

-- ---- a row ----

-- Whether other programs took too much for the row's numbers to count; row: has `others`.
function others.disturbed(row) return row.others ~= nil and row.others > bound end

-- Calls f until nothing else runs, `tries` times at most. Returns { others =, tries = } and what f returned in the quietest try.
-- counters: what reads them.
function others.measure(tries, f, counters)
  counters = counters or others.counters
  local quietest, results
  for try = 1, tries do
    local before, start = counters(), core.time()
    local found = table.pack(f())
    repeat until core.time() - start >= least
    local row = { others = others.share(before, counters()), tries = try }
    if not quietest or row.others < quietest.others then quietest, results = row, found end
    quietest.tries = try
    if not others.disturbed(row) then break end
  end
  return quietest, table.unpack(results, 1, results.n)
end

-- For common.line.
function others.fields(row)
  local tries = { "tries", "%d", row.tries }
  return row.others and { { "others", "%.3f", row.others }, tries } or { tries }
end

-- "disturbed: ..", or nothing.
function others.words(row)
  if not others.disturbed(row) then return "" end
  return ("disturbed: other programs took %.0f %% of the processors' time%s"):format(100 * row.others,
    row.tries > 1 and (", in the quietest of %d tries"):format(row.tries) or "")
end

return others

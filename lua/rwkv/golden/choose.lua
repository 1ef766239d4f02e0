-- Of all that explains single tensors, the fewest mistakes that explain them all: what would make wrong a tensor that is right is
-- out, and what explains most comes first.
--   choose(findings, right, refutes): leaves every finding with the causes chosen for it, those that are out in `refuted`. refutes(observation, mistakes): whether
--   an observation would be otherwise than theirs with these
local function key_of(cause)
  local list = {}
  for i, mistake in ipairs(cause.mistakes) do list[i] = mistake.id end
  table.sort(list)
  return table.concat(list, "+")
end

-- { key = { cause =, findings = { finding = its own result } , count = } }, and the keys in order.
local function collect(findings)
  local all, order = {}, {}
  for _, finding in ipairs(findings) do
    for _, cause in ipairs(finding.causes) do
      local key = key_of(cause)
      if not all[key] then
        all[key] = { key = key, mistakes = cause.mistakes, results = {}, count = 0 }
        order[#order + 1] = all[key]
      end
      if not all[key].results[finding] then all[key].count = all[key].count + 1 end
      all[key].results[finding] = cause
    end
  end
  return order
end

-- Whether what is right in the layers of its findings speaks against a group: made there, the mistakes would show in it.
local function refuted(group, right, refutes)
  local layers, all = {}, false
  for finding in pairs(group.results) do
    layers[finding.line.layer or -1] = true
    all = all or not finding.line.layer
  end
  for _, o in ipairs(right) do
    if (all or not o.line.layer or layers[o.line.layer]) and refutes(o, group.mistakes) then return true end
  end
  return false
end

-- Of pairs, those with the most mistakes that explain other findings by themselves; and what such a pair has beside them must leave
-- those findings explained.
local function beside_chosen(findings, groups, refutes)
  local alone = {}
  for _, finding in ipairs(findings) do
    local cause = finding.causes[1]
    if cause and #cause.mistakes == 1 and finding.settled then alone[cause.mistakes[1]] = finding end
  end
  local most = 0
  for _, group in ipairs(groups) do
    group.known = 0
    for _, mistake in ipairs(group.mistakes) do if alone[mistake] then group.known = group.known + 1 end end
    if #group.mistakes > 1 then most = math.max(most, group.known) end
  end
  for _, group in ipairs(most > 0 and groups or {}) do
    if #group.mistakes > 1 then
      group.out = group.out or group.known < most
      for _, finding in ipairs(group.out and {} or findings) do
        local cause = finding.settled and finding.causes[1]
        if cause and #cause.mistakes == 1 and not group.results[finding] then
          local both = { cause.mistakes[1] }
          for _, mistake in ipairs(group.mistakes) do if mistake ~= both[1] then both[#both + 1] = mistake end end
          group.out = group.out or refutes(finding, both)
        end
      end
    end
  end
end

-- How many of the findings that are left a group explains, and how badly at worst.
local function reach(group, left)
  local n, rms = 0, 0
  for finding, result in pairs(group.results) do
    if left[finding] then n, rms = n + 1, math.max(rms, result.rms / math.max(finding.rms, 1e-300)) end
  end
  return n, rms
end

local function only_pairs(groups, left)
  for _, group in ipairs(groups) do
    if #group.mistakes == 1 and not group.out and reach(group, left) > 0 then return false end
  end
  return true
end

return function(findings, right, refutes)
  local groups, left = collect(findings), {}
  for _, finding in ipairs(findings) do if #finding.causes > 0 then left[finding] = true end end
  for _, group in ipairs(groups) do group.out = refuted(group, right, refutes) end
  local paired = false
  while next(left) do
    local best, most, least = nil, 0, math.huge
    if not paired and only_pairs(groups, left) then
      beside_chosen(findings, groups, refutes)
      paired = true
    end
    for _, group in ipairs(groups) do
      local n, rms = reach(group, left)
      local size = #group.mistakes
      local better = n > most or n == most and best and (size < #best.mistakes or size == #best.mistakes and rms < least)
      if n > 0 and not group.out and better then best, most, least = group, n, rms end
    end
    if not best then break end
    local same = {}
    for _, group in ipairs(groups) do -- what explains the same as well
      local n, rms = reach(group, left)
      local as_good = n == most and not group.out and #group.mistakes == #best.mistakes and rms <= 10 * least + 1e-12
      for finding in pairs(group.results) do as_good = as_good and (not left[finding] or best.results[finding] ~= nil) end
      if as_good then same[#same + 1] = group end
    end
    for _, finding in ipairs(findings) do
      if left[finding] and best.results[finding] then
        finding.causes, left[finding], finding.settled = {}, nil, true
        for i, group in ipairs(same) do finding.causes[i] = group.results[finding] end
      end
    end
  end
  for finding in pairs(left) do finding.causes, finding.refuted = {}, finding.causes end -- what explains them makes wrong what is right
end

-- The figures' sections of PAPER_NOTES.md, read strictly: what is missing or in the wrong place is named.
--   ### NAME: title
--   ![NAME](plots/NAME.png)
--   - **Message**: ..
--   - **Published**: .. and so on: one of each of these, in this order, on as many lines as it takes.
local items = { "Message", "Published", "Ours", "Agreement", "Made by" }

-- { { heading =, lines = { .. } }, .. } of what stands under "## Figures".
local function split(page, fail)
  local list, inside
  for line in (page .. "\n"):gmatch "([^\n]*)\n" do
    if line:find "^## " then
      inside = line == "## Figures"
      if inside then list = list or {} end
    elseif inside and line:find "^### " then
      list[#list + 1] = { heading = line:sub(5), lines = {} }
    elseif inside and #list > 0 then
      table.insert(list[#list].lines, line)
    end
  end
  return list or fail "expected a section '## Figures', found none"
end

-- The picture's line and the items, the lines of an item joined.
local function blocks_of(lines)
  local blocks, item = {}, false
  for _, line in ipairs(lines) do
    if item and line:find "^%s+%S" then
      blocks[#blocks] = blocks[#blocks] .. " " .. line:match "^%s*(.-)%s*$"
    elseif line:find "%S" then
      blocks[#blocks + 1] = line:match "^(.-)%s*$"
      item = line:find "^%- " ~= nil
    end
  end
  return blocks
end

local function read(part, fail)
  local name, title = part.heading:match "^([%w_]+): (%S.*)$"
  if not name then fail("section '%s': expected '### NAME: what it shows'", part.heading) end
  local blocks = blocks_of(part.lines)
  local function expect(i, start)
    local block = blocks[i]
    if block and start and block:sub(1, #start) == start and #block > #start then return block:sub(#start + 1) end
    if block or start then
      fail("section '%s': expected %s, found %s", name, start and ("'%s..'"):format(start) or "no more",
        block and ("'%s'"):format(block:sub(1, 60)) or "its end")
    end
  end
  local section = { name = name, title = title, picture = ("plots/%s.png"):format(name) }
  if expect(1, ("![%s]("):format(name)) ~= section.picture .. ")" then
    fail("section '%s': expected the picture %s, found '%s'", name, section.picture, blocks[1])
  end
  for i, item in ipairs(items) do section[item] = expect(i + 1, ("- **%s**: "):format(item)) end
  expect(#items + 2)
  return section
end

-- The sections of a page, in its order: { name =, title =, picture =, Message =, Published =, .. }. path: what errors call the page.
return function(page, path)
  local function fail(form, ...) error(path .. ": " .. form:format(...), 0) end
  local sections, seen = {}, {}
  for i, part in ipairs(split(page, fail)) do
    local section = read(part, fail)
    if seen[section.name] then fail("there are two sections '%s'", section.name) end
    sections[i], seen[section.name] = section, true
  end
  return sections
end

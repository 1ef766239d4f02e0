-- PAPER_NOTES.md as what can be found in it: equations by tag ("v7.3") or word ("decay"), a version by name ("v7").
local pages = require "rwkv.pages"

local notes = {}
local page = "PAPER_NOTES.md"

-- Sections: { heading =, text =, equations = { { tag =, head =, page =, heading = }, .. } }
local function parse(text)
  local sections, section, equation = {}, nil, nil
  for line in text:gmatch "([^\n]*)\n" do
    local heading, tag = line:match "^## (.*)", line:match "^%- %[(%l[%w.]+%.%d+)%]"
    if heading then
      section = { heading = heading, text = "", equations = {} }
      sections[#sections + 1] = section
    end
    if tag then
      equation = { tag = tag, head = line:gsub("^%- ", ""):gsub("`", ""), page = page, heading = section.heading }
      section.equations[#section.equations + 1] = equation
    elseif equation and line:find "^  " then
      equation.head = equation.head .. " " .. line:gsub("^ +", ""):gsub("`", "")
    else
      equation = nil
    end
    if section then section.text = section.text .. line .. "\n" end
  end
  return sections
end

local sections
local function all()
  sections = sections or parse(pages.read(page))
  return sections
end

-- The section on a version: the first whose heading has its name; of "v5.2" and "v6b", which none has, that on v5 and v6.
function notes.version(name)
  local function named(word)
    local pattern = "%f[%w_]" .. word:gsub("%p", "%%%0") .. "%f[^%w_]"
    for _, section in ipairs(all()) do if section.heading:find(pattern) then return section end end
  end
  if name:find "^v%d" or name:find "^rc%d" or name:lower() == "rosa" then
    return named(name) or named(name:gsub("_", " ")) or named(name:match "^v%d+" or name:upper())
  end
end

-- The equation with a tag, "v7.3" or "[v7.3]", or those that have a word in them.
function notes.equations(name)
  local tag, found = name:match "^%[?(v%d[%w.]*)%]?$" or name:match "^%[?(r%l+%.%d+)%]?$", {}
  local word = not tag and name:match "^[%a_][%w_-]*$" and name:lower():gsub("%p", "%%%0")
  for _, section in ipairs((tag or word) and all() or {}) do
    for _, equation in ipairs(section.equations) do
      if tag == equation.tag or word and equation.head:lower():find("%f[%w]" .. word .. "%f[%W]") then
        found[#found + 1] = equation
      end
    end
  end
  return found
end

return notes

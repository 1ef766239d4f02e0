-- Text of PAPER_NOTES.md as HTML: `code`, **bold**, [links](to) and arXiv numbers; all else stands for itself.
local html = {}

local entities = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

function html.escape(text) return (text:gsub("[&<>\"']", entities)) end

function html.link(to, text) return ('<a href="%s">%s</a>'):format(html.escape(to), html.escape(text)) end

-- What is found, and what becomes of it. Of two at one place the first.
local marks = {
  { "`([^`]+)`", function(code) return "<code>" .. html.escape(code) .. "</code>" end },
  { "%[([^%]]+)%]%(([^%s)]+)%)", function(text, to) return html.link(to, text) end },
  { "%*%*([^*]+)%*%*", function(text) return "<strong>" .. html.escape(text) .. "</strong>" end },
  { "arXiv:(%d%d%d%d%.%d%d%d%d%d)", function(number) return html.link("https://arxiv.org/abs/" .. number, "arXiv:" .. number) end },
}

function html.text(text)
  local parts, at = {}, 1
  while true do
    local first, last, made
    for _, mark in ipairs(marks) do
      local from, to, a, b = text:find(mark[1], at)
      if from and (not first or from < first) then first, last, made = from, to, mark[2](a, b) end
    end
    parts[#parts + 1] = html.escape(text:sub(at, (first or 0) - 1))
    if not first then return table.concat(parts) end
    parts[#parts + 1] = made
    at = last + 1
  end
end

-- Where the links of a text lead.
function html.links(text)
  local list = {}
  for label, to in text:gsub("`[^`]*`", ""):gmatch(marks[2][1]) do list[#list + 1] = { text = label, to = to } end
  return list
end

return html

-- The pages (lua/pages/) as entries that can be found by name. An entry is a row of a table, a part of a paragraph
-- (parts are divided by " · ") or an item of a list; it defines what the code spans at its beginning call or name:
-- `rwkv.model{...}` defines rwkv.model, `x:linear(w, bias)` tensor:linear, `decay` at the head of a row the word decay.
local path_of_this_file = select(2, ...)

local pages = { names = { "tensor.md", "model.md", "training.md", "sequences.md", "files.md", "text.md", "evaluation.md", "hooks.md", "mixers.md", "next.md", "ablation.md",
  "random.md", "tasks.md", "plot.md", "repl.md", "sandbox.md", "bench.md", "devices.md", "experiments.md", "cluster.md", "golden.md",
  "ci.md", "ports.md" } }

-- What the pages call an object, by class; every other name is a tensor's.
local classes = { model = "model", opt = "optimizer", optimizer = "optimizer", state = "state", rng = "rng", sampler = "sampler",
  tokens = "tokens", tokenizer = "tokenizer", bar = "progress", progress = "progress", task = "task" }

-- The text of a page, or of the notes. Beside the program pages/ stands next to rwkv/, for a stock Lua inside it.
function pages.read(name)
  local here = path_of_this_file:match "^(.*)/" or "."
  for _, place in ipairs { "/../pages/", "/pages/", "/../../" } do
    local file = io.open(here .. place .. name)
    if file then
      local text = file:read "a"
      file:close()
      return text
    end
  end
  error(("the page %s is not in %s/../pages"):format(name, here), 0)
end

-- "x:linear(w)" -> "tensor:linear"; "rwkv.model{...}" -> "rwkv.model"; nil for what is no such call
function pages.canonical(call)
  local object, dot, name = call:match "^([%a_][%w_]*)([.:])([%a_][%w_]*)"
  if not object then return nil end
  if dot == "." then return object .. "." .. name end
  return (classes[object] or "tensor") .. ":" .. name
end

-- Markdown as plain text.
local function plain(text)
  text = text:gsub("%[([^%]]*)%]%([^)]*%)", "%1"):gsub("%*%*", ""):gsub("`", ""):gsub("\\|", "|")
  return (text:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", ""))
end

-- Adds what the code spans of a text call or, if `words`, name; leading: only those with which it begins.
local function add_spans(set, text, leading, words)
  local at = 1
  while true do
    local first, last, span = text:find("`([^`]+)`", at)
    if not first then return end
    local between = text:sub(at, first - 1)
    if leading and between:gsub("%f[%a]and%f[%A]", ""):gsub("%f[%a]or%f[%A]", ""):find "[^%s,]" then return end
    local name = pages.canonical(span) or words and span:match "^[%a_][%w_]*$"
    if name then set[name] = true end
    at = last + 1
  end
end

local function entry(list, page, heading, head, body)
  local e = { page = page, heading = heading, head = plain(head), body = body and plain(body), defines = {},
    mentions = {} }
  add_spans(e.defines, head, not body, body ~= nil)
  add_spans(e.mentions, head .. " " .. (body or ""), false, true)
  list[#list + 1] = e
end

local function cells_of(line)
  local cells = {}
  line = line:gsub("\\|", "\0"):gsub("^|%s*", ""):gsub("%s*|%s*$", "")
  for cell in (line .. "|"):gmatch "(.-)|" do cells[#cells + 1] = (cell:gsub("\0", "|")) end
  return cells
end

local function parse(list, page, text)
  local heading, paragraph, in_code = page, nil, false
  local function finish()
    for part in ((paragraph or "") .. " · "):gmatch "(.-) · " do
      if part:find "%S" then entry(list, page, heading, part) end
    end
    paragraph = nil
  end
  local function add(line)
    if line:find "^#" then
      finish()
      heading = plain(line:gsub("^#+%s*", ""))
    elseif line:find "^|" then
      finish()
      local cells = cells_of(line)
      if not line:find "^|[%s%-|]+$" then entry(list, page, heading, cells[1], table.concat(cells, " ", 2)) end
    elseif line:find "^%s*$" then
      finish()
    else
      if line:find "^%- " then finish() end
      paragraph = (paragraph and paragraph .. " " or "") .. line:gsub("^%- ", "")
    end
  end
  for line in (text .. "\n"):gmatch "(.-)\n" do
    if line:find "^```" then
      finish()
      in_code = not in_code
    elseif not in_code then -- examples are not looked through
      add(line)
    end
  end
  finish()
end

local entries
local function all()
  if not entries then
    entries = {}
    for _, name in ipairs(pages.names) do parse(entries, name, pages.read(name)) end
  end
  return entries
end

local function select_entries(matches)
  local found = {}
  for _, field in ipairs { "defines", "mentions" } do
    for _, e in ipairs(all()) do
      for name in pairs(e[field]) do
        if matches(name) then
          found[#found + 1] = e
          break
        end
      end
    end
    if #found > 0 then return found, field == "defines" end
  end
  return found, false
end

-- Whether a text has a word in it.
local function says(text, word) return text:lower():find("%f[%w_]" .. word:lower():gsub("%p", "%%%0") .. "%f[^%w_]") ~= nil end

-- The pages that have a word in them.
function pages.naming(word)
  local list = {}
  for _, name in ipairs(pages.names) do if says(pages.read(name), word) then list[#list + 1] = name end end
  return list
end

-- The last parts of the names that entries define; before: of those that begin so, as with "model:".
function pages.words(before)
  local list, seen = {}, {}
  for _, e in ipairs(all()) do
    for name in pairs(e.defines) do
      local word = name:match "[%w_]+$"
      if not seen[word] and (not before or name == before .. word) then
        list[#list + 1] = word
        seen[word] = true
      end
    end
  end
  table.sort(list)
  return list
end

-- The entries that define a name, or if there is none those that mention it, and whether they define it. A name is
-- "rwkv.model", "model:forward", "x:linear(w)", a last part alone, "linear", a slot's, "decay", or else any word.
function pages.find(name)
  local wanted = pages.canonical(name)
  if wanted then return select_entries(function(found) return found == wanted end) end
  local last = name:match "^[.:]?([%a_][%w_]*)"
  if not last then return {}, false end
  local found, defines = select_entries(function(given) return given:match "[%w_]+$" == last end)
  if #found > 0 then return found, defines end
  for _, e in ipairs(all()) do
    if says(e.heading .. " " .. e.head .. " " .. (e.body or ""), name) then found[#found + 1] = e end
  end
  return found, false
end

return pages

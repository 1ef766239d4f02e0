-- The gallery: one HTML page with all figures, and beside it everything that it links to. It is made of the figures' sections of
-- PAPER_NOTES.md, the heads of their tables, and plots/gallery/story.lua, which has the order.
--   ./aviary --output build/gallery plots/gallery.lua --out build/gallery plots/*.png
-- The pictures are those that must have a section.
local rwkv = require "rwkv"
local html = require "plots.gallery.html"
local page = require "plots.gallery.page"
local sections_of = require "plots.gallery.sections"
local story = require "plots.gallery.story"
local head_of = require "plots.table_head"

local o = rwkv.options(arg, { notes = "PAPER_NOTES.md", out = "build/gallery" })

local function fail(form, ...) error(form:format(...), 0) end

-- What is to be copied: path -> bytes.
local files = {}

local function take(section, path)
  if not files[path] then
    local ok, bytes = pcall(rwkv.read_file, path)
    if not ok then fail("%s: section '%s': %s", o.notes, section.name, bytes) end
    files[path] = bytes
  end
  return files[path]
end

local function is_outside(path) return path:find "^/" or path:find ":" or ("/" .. path .. "/"):find("/../", 1, true) end

-- A section with its files: the picture and its size, the script that draws it, its tables and all else that it links to.
local function complete(section)
  local png = take(section, section.picture)
  if png:sub(1, 8) ~= "\137PNG\r\n\26\n" or #png < 24 then fail("%s: expected a PNG file", section.picture) end
  section.width, section.height = (">I4I4"):unpack(png, 17)
  section.gnuplot = ("plots/%s.gp"):format(section.name)
  take(section, section.gnuplot)
  section.tables = {}
  for _, item in ipairs { "Message", "Published", "Ours", "Agreement", "Made by" } do
    for _, link in ipairs(html.links(section[item])) do
      local path = link.to:match "^([^#]*)"
      if not link.to:find "^https://" then
        if is_outside(path) then
          fail("%s: section '%s': expected https:// or a path in here, found a link to '%s'", o.notes, section.name, path)
        end
        take(section, path)
        if path:find "^plots/[^/]+%.tsv$" then table.insert(section.tables, { path = path, head = head_of(path) }) end
      end
    end
  end
  if #section.tables == 0 then
    fail("%s: section '%s': expected a link to its table, plots/%s...tsv, found none", o.notes, section.name, section.name)
  end
  return section
end

local cards = {}
local sections = sections_of(rwkv.read_file(o.notes), o.notes)
for _, section in ipairs(sections) do cards[section.name] = complete(section) end
for _, path in ipairs(o) do
  if not cards[path:match "([^/]+)%.png$" or ""] then fail("%s has no section in %s", path, o.notes) end
end

-- The story with its cards; what it does not name comes last.
local groups, told = {}, {}
local function add(title, about, names)
  local group = { title = title, about = about, cards = {} }
  for _, name in ipairs(names) do
    if cards[name] and not told[name] then
      table.insert(group.cards, cards[name])
      told[name] = true
    end
  end
  if #group.cards > 0 then groups[#groups + 1] = group end
end
for _, chapter in ipairs(story) do add(chapter.title, chapter.about, chapter.figures) end
local others = {}
for i, section in ipairs(sections) do others[i] = section.name end
add("Others", "Not yet part of the story.", others)

for path, bytes in pairs(files) do
  local to = o.out .. "/" .. path
  rwkv.mkdir(to:match "^(.*)/")
  rwkv.write_file(to, bytes)
end
rwkv.write_file(o.out .. "/index.html", page(groups, rwkv.read_file "plots/gallery/style.css"))
print(("%s/index.html: %d figures"):format(o.out, #sections))

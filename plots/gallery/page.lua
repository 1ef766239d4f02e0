-- The page: contents with a verdict a figure, then a card a figure. It needs no script and nothing from elsewhere.
local html = require "plots.gallery.html"
local verdict = require "plots.gallery.verdict"

local function plural(n, what) return ("%d %s%s"):format(n, what, n == 1 and "" or "s") end

local function judged(message)
  local v = verdict(message)
  local word = v.word and ('<span class="verdict %s">%s:</span> '):format(v.kind, html.escape(v.word)) or ""
  return word .. html.text(v.text), v.kind
end

-- ---- contents ----

local function line_of(card)
  return ('<li><span><a href="#%s">%s</a> <span class="name">%s</span></span> <span>%s</span></li>'):format(card.name,
    html.escape(card.title), card.name, (judged(card.Message)))
end

local function contents_of(groups)
  local parts = {}
  for i, group in ipairs(groups) do
    parts[#parts + 1] = ('<h2><a href="#group-%d">%s</a> <span>%s</span></h2>\n<ul>'):format(i, html.escape(group.title),
      html.escape(group.about))
    for _, card in ipairs(group.cards) do parts[#parts + 1] = line_of(card) end
    parts[#parts + 1] = "</ul>"
  end
  return "<nav>\n" .. table.concat(parts, "\n") .. "\n</nav>"
end

-- "3 shown, 1 shown in part, 2 not shown or refuted, 4 that no paper has"
local function count(groups)
  local n = { shown = 0, partly = 0, ["not"] = 0, ours = 0, none = 0 }
  for _, group in ipairs(groups) do
    for _, card in ipairs(group.cards) do
      local _, kind = judged(card.Message)
      n[kind] = n[kind] + 1
    end
  end
  return ('<span class="shown">%d shown</span>, <span class="partly">%d shown in part</span>, <span class="not">%d not shown or '
    .. "refuted</span>, %d that no paper has%s"):format(n.shown, n.partly, n["not"], n.ours,
    n.none > 0 and (", %d others"):format(n.none) or "")
end

-- ---- cards ----

-- How a table was made; tables that were made alike are said once.
local function made(tables)
  local lines, seen = {}, {}
  for _, t in ipairs(tables) do
    for _, m in ipairs(t.head.made) do
      local text = ("<code>%s</code>, commit %s%s%s%s"):format(html.escape(m.command), m.commit:gsub("%+$", ""),
        m.commit:find "%+" and " with changes that are committed nowhere" or "", m.scale and ", scale " .. html.escape(m.scale) or "",
        t.head.seeds and ", " .. plural(t.head.seeds, "seed") or "")
      local others = {}
      for _, commit in ipairs(t.head.commits) do
        if commit ~= m.commit then others[#others + 1] = commit end
      end
      if #others > 0 and #t.head.made == 1 then text = text .. "; rows of " .. html.escape(table.concat(others, ", ")) end
      if not seen[text] then lines[#lines + 1], seen[text] = text, true end
    end
  end
  return table.concat(lines, "<br>\n")
end

local function card_of(card)
  local drawn = html.link(card.gnuplot, "how it is drawn")
  local facts = {}
  for _, item in ipairs { "Published", "Ours", "Agreement" } do
    facts[#facts + 1] = ("<dt>%s</dt><dd>%s</dd>"):format(item, html.text(card[item]))
  end
  facts[#facts + 1] = ("<dt>Made by</dt><dd>%s, %s</dd>"):format(html.text(card["Made by"]), drawn)
  facts[#facts + 1] = ("<dt>Data</dt><dd>%s</dd>"):format(made(card.tables))
  local message = judged(card.Message)
  local rest = card.Message:sub(#verdict(card.Message).sentence + 1)
  return ([[<article id="%s">
<h3>%s <a class="name" href="#%s">%s</a></h3>
<a href="%s"><img src="%s" width="%d" height="%d" loading="lazy" alt="%s"></a>
<p>%s%s</p>
<dl>
%s
</dl>
</article>]]):format(card.name, html.escape(card.title), card.name, card.name, card.picture, card.picture, card.width, card.height,
    html.escape(card.title), message, html.text(rest), table.concat(facts, "\n"))
end

local head = [[<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Aviary: the figures</title>
<style>
%s</style>
</head>
<body>
<header>
<h1>Aviary: the figures</h1>
<p>What papers on RWKV say, in numbers of our own: every RWKV from v1 to v7, small models on two cores. Each figure is made by one
script, and drawn from the table beside it. A verdict says whether the published message is seen at this scale.</p>
<p>%s: %s.</p>
<p class="soft">Of published values: <i>text</i> stands in the paper, <i>code</i> in its code, <i>digitised</i> was read off its figure,
<i>summary</i> is what others write of it, <i>recalled</i> is from memory and could not be looked up. MQAR is multi-query associative
recall: K pairs of keys and values in a sequence of T tokens, then questions for the keys; V is the vocabulary, d the width of a
model. A number of ours without its spread is the median or mean of as many seeds as are said; (lowest, highest) follow it.</p>
</header>]]

local foot = [[<footer>Made by <code>make gallery</code> from PAPER_NOTES.md and the tables in plots/. Scripts, tables and pictures lie
beside this page.</footer>
</body>
</html>
]]

-- groups: { title =, about =, cards = { sections with gnuplot =, width =, height =, tables = { { path =, head = } } } }
return function(groups, style)
  local n = 0
  for _, group in ipairs(groups) do n = n + #group.cards end
  local parts = { head:format(style, plural(n, "figure"), count(groups)), contents_of(groups), "<main>" }
  for i, group in ipairs(groups) do
    parts[#parts + 1] = ('<h2 id="group-%d">%s</h2>\n<p class="soft">%s</p>'):format(i, html.escape(group.title), html.escape(group.about))
    for _, card in ipairs(group.cards) do parts[#parts + 1] = card_of(card) end
  end
  parts[#parts + 1] = "</main>"
  parts[#parts + 1] = foot
  return table.concat(parts, "\n")
end

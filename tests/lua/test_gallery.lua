-- The gallery: every figure has a section and a card, every link leads somewhere, text is text, and what is wrong is named.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local html = require "plots.gallery.html"
local sections_of = require "plots.gallery.sections"
local verdict = require "plots.gallery.verdict"
local head_of = require "plots.table_head"
local test, equal, fails, has, shell = check.test, check.equal, check.fails, check.has, check.shell

local home = "runs/tests/gallery"
shell("rm -rf " .. home)
rwkv.mkdir(home)

local function exists(path)
  local file = io.open(path)
  return file and file:close()
end

local function gallery(arguments) return shell(("%s plots/gallery.lua --out %s/page %s"):format(check.program, home, arguments)) end

test("every figure has a section, a card, and a place in the story", function()
  local out, status = gallery "plots/*.png"
  if status ~= 0 then error(out) end
  local page = rwkv.read_file(home .. "/page/index.html")
  for name in shell("ls plots/*.png"):gmatch "([^/]+)%.png" do
    has(page, ('<article id="%s">'):format(name), ('<a href="#%s">'):format(name), ('src="plots/%s.png"'):format(name))
  end
  local others = page:match '>Others</h2>.-<article id="([^"]*)"'
  if others then error(("'%s' is not in plots/gallery/story.lua"):format(others)) end
end)

test("every link leads somewhere, and nothing comes from elsewhere", function()
  local page = rwkv.read_file(home .. "/page/index.html")
  local n = 0
  for kind, to in page:gmatch '(%a+)="([^"]*)"' do
    if kind == "href" or kind == "src" then
      n = n + 1
      if to:sub(1, 1) == "#" then has(page, ('id="%s"'):format(to:sub(2)))
      elseif to:find "^https://" then equal(kind, "href")
      elseif not exists(home .. "/page/" .. to:match "^[^#]*") then error(to .. " is not there") end
    end
  end
  assert(n > 100)
  for _, part in ipairs { "<script", "http:", "url(", "@import" } do assert(not page:find(part, 1, true), part) end
end)

test("text is text", function()
  equal(html.text [[<script>alert("1 & 'x'")</script>]], "&lt;script&gt;alert(&quot;1 &amp; &#39;x&#39;&quot;)&lt;/script&gt;")
  equal(html.text "`<b>` and **<i>** and [<u>](a\"b)",
    '<code>&lt;b&gt;</code> and <strong>&lt;i&gt;</strong> and <a href="a&quot;b">&lt;u&gt;</a>')
  equal(html.text "`[a](b) **c**` [C] 2**3 *", "<code>[a](b) **c**</code> [C] 2**3 *")
  equal(html.text "arXiv:2404.05892.", '<a href="https://arxiv.org/abs/2404.05892">arXiv:2404.05892</a>.')
  equal(html.text "", "")
end)

test("a verdict is the first sentence, and what stands before its colon", function()
  local v = verdict "Shown: as in Fig. 4, v7 has .99. More is said."
  equal({ v.word, v.kind, v.text }, { "Shown", "shown", "as in Fig. 4, v7 has .99." })
  equal(verdict("Shown in part: a").kind, "partly")
  equal(verdict("Not shown for v4: a").kind, "not")
  equal(verdict("Refuted: a").kind, "not")
  equal(verdict("No paper has this: a").kind, "ours")
  equal(verdict("In short: a").kind, "none")
  v = verdict "As T (Figures 6, 7): not shown here. \"More: shown.\""
  equal({ v.word, v.kind, v.text, v.sentence }, { "Not shown here", "not", "As T (Figures 6, 7).", "As T (Figures 6, 7): not shown here." })
  equal({ verdict("Only this").text, verdict("Only this").kind }, { "Only this", "none" })
end)

-- ---- what is wrong ----

local lines = { "# Notes", "## Figures", "", "Words.", "", "### mqar_demo: a title", "", "![mqar_demo](plots/mqar_demo.png)", "",
  "- **Message**: Shown: <script>alert('m')</script>,", "  on two lines.", "- **Published**: p", "- **Ours**: o <img src=x onerror=y>",
  "- **Agreement**: a", "- **Made by**: `x <y>`; [data](plots/mqar_demo.tsv)", "", "## Later", "### not a figure" }

-- The page with some lines changed: number -> line, or false for none.
local function with(changes)
  local list = {}
  for i, line in ipairs(lines) do
    local new = changes[i]
    if new == nil then new = line end
    if new then list[#list + 1] = new end
  end
  return table.concat(list, "\n") .. "\n"
end

test("a section is read", function()
  local sections = sections_of(with {}, "notes")
  equal(#sections, 1)
  equal(sections[1].title, "a title")
  equal(sections[1].Message, "Shown: <script>alert('m')</script>, on two lines.")
  equal(sections[1]["Made by"], "`x <y>`; [data](plots/mqar_demo.tsv)")
end)

test("a broken section is named", function()
  local function broken(changes, ...) fails(function() sections_of(with(changes), "notes") end, "notes: ", ...) end
  broken({ [2] = "## Pictures" }, "'## Figures'")
  broken({ [6] = "### mqar_demo" }, "section 'mqar_demo'", "'### NAME: what it shows'")
  broken({ [8] = false }, "section 'mqar_demo'", "'![mqar_demo](..'", "found '- **Message**")
  broken({ [8] = "![mqar_demo](plots/other.png)" }, "section 'mqar_demo'", "plots/mqar_demo.png", "plots/other.png")
  broken({ [12] = false }, "section 'mqar_demo'", "'- **Published**: ..'", "found '- **Ours**")
  broken({ [14] = "- **Agreement**:" }, "section 'mqar_demo'", "'- **Agreement**: ..'", "found '- **Agreement**:'")
  broken({ [15] = false }, "section 'mqar_demo'", "'- **Made by**: ..'", "found its end")
  broken({ [16] = "And more." }, "section 'mqar_demo'", "expected no more", "And more.")
  broken({ [16] = table.concat(lines, "\n", 6, 15) }, "two sections 'mqar_demo'")
end)

test("a page of hostile text is text; what is not there is named", function()
  local function of(changes, pictures)
    rwkv.write_file(home .. "/notes.md", with(changes))
    return gallery(("--notes %s/notes.md %s"):format(home, pictures or ""))
  end
  equal(select(2, of {}), 0)
  local page = rwkv.read_file(home .. "/page/index.html")
  assert(not page:find "<script" and not page:find "<img src=x", page)
  has(page, "&lt;script&gt;alert(&#39;m&#39;)&lt;/script&gt;", "&lt;img src=x onerror=y&gt;", "<code>x &lt;y&gt;</code>")
  local function broken(changes, ...)
    local out, status = of(changes)
    equal(status, 1)
    has(out, ...)
  end
  broken({ [13] = "- **Ours**: [o](javascript:alert)" }, "mqar_demo", "https:// or a path in here", "javascript:alert")
  broken({ [13] = "- **Ours**: [o](../../etc/passwd)" }, "mqar_demo", "https:// or a path in here", "../../etc/passwd")
  broken({ [13] = "- **Ours**: [o](plots/none.tsv)" }, "mqar_demo", "plots/none.tsv")
  broken({ [13] = "- **Ours**: [o](plots/published/parity.tsv)", [15] = "- **Made by**: x" }, "mqar_demo", "a link to its table")
  broken({ [6] = "### nothing: t", [8] = "![nothing](plots/nothing.png)" }, "section 'nothing'", "plots/nothing.png")
  local out, status = of({}, "plots/parity.png")
  equal(status, 1)
  has(out, "plots/parity.png has no section in", "notes.md")
end)

-- ---- what made a table ----

test("every table in plots/ says which command and commit made it", function()
  local out, status = shell(check.program .. " plots/provenance.lua plots/*.tsv")
  if status ~= 0 then error(out) end
  for path in shell("ls plots/*.tsv"):gmatch "[^\n]+" do
    for _, made in ipairs(head_of(path).made) do has(out, path:match "([^/]+)%.tsv$", made.commit, made.command) end
  end
end)

test("a head is read; a table without one is named", function()
  local path = home .. "/t.tsv"
  local function head(text)
    rwkv.write_file(path, text)
    return head_of(path)
  end
  local h = head("# ./aviary experiments/x.lua --scale quick (commit 0123abc+, fast kernels)\n# a note (commit 9)\n"
    .. "label\tseed\tcommit\nv4\t0\ta\nv4\t1\tb\n")
  equal({ h.made[1].command, h.made[1].commit, h.made[1].scale }, { "./aviary experiments/x.lua --scale quick", "0123abc+", "quick" })
  equal({ h.seeds, h.commits }, { 2, { "a", "b" } })
  equal(head("# ./aviary experiments/x.lua (commit a)\nruns\n3\n").made[1].scale, "small")
  equal(head("# ./aviary experiments/x.lua (commit a)\nruns\n3\n").seeds, 3)
  fails(function() head "label\nv4\n" end, path, "# COMMAND (commit ...)", "found 'label'")
end)

shell("rm -rf " .. home)

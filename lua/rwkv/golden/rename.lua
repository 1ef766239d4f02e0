-- Rules of --rename: what other people's names are in a pack.
--   rename.rules(text) -> list of rules, of "THEIRS=OURS,.." or "@FILE" with a rule a line:
--     model.h.*.key.weight = blocks.*.att.key.weight     # a * of ours is what the * of theirs stands for, in this order
--     lora.*.*.grad = grad.blocks.%2.att.%1 transpose    # %1, %2: by number; transpose: theirs has the last two axes exchanged
--   rename.rule_for(rules, name) -> the first rule for a name of theirs, and its name in the pack; nil if there is none
local file = require "rwkv.file"

local rename = {}

local function parse(text, from)
  local theirs, ours, word = text:match "^%s*(%S-)%s*=%s*(%S+)%s*(.-)%s*$"
  if not theirs or theirs == "" then error(("%s: expected THEIRS=OURS, found '%s'"):format(from, text), 0) end
  if word ~= "" and word ~= "transpose" then
    error(("%s: expected 'transpose' or nothing behind '%s', found '%s'"):format(from, ours, word), 0)
  end
  local pattern, stars = theirs:gsub("[^%w*]", "%%%0"):gsub("%*", "(.-)")
  if stars > 9 then error(("%s: '%s' has %d *, expected at most 9"):format(from, theirs, stars), 0) end
  local asked = 0
  local put = ours:gsub("%%?.", function(c)
    if c == "*" then
      asked = asked + 1
      return "%" .. asked
    end
    return c:match "^%%%d$" or c:gsub("%%", "%%%%")
  end)
  for number in put:gmatch "%%(%d)" do asked = math.max(asked, tonumber(number)) end
  if asked > stars or put:find "%%0" then
    error(("%s: '%s' takes more from '%s' than its %d *"):format(from, ours, theirs, stars), 0)
  end
  return { pattern = "^" .. pattern .. "$", put = put, theirs = theirs, transpose = word == "transpose", from = from, used = false }
end

-- Lines without comments and blank ones, and their numbers.
local function rules_of_file(path)
  local rules, number = {}, 0
  for line in (file.bytes(path) .. "\n"):gmatch "(.-)\r?\n" do
    number = number + 1
    line = line:gsub("#.*", "")
    if line:find "%S" then rules[#rules + 1] = parse(line, ("%s:%d"):format(path, number)) end
  end
  if #rules == 0 then error(("%s: no rule such as THEIRS = OURS"):format(path), 0) end
  return rules
end

function rename.rules(text)
  if text:sub(1, 1) == "@" then return rules_of_file(text:sub(2)) end
  local rules = {}
  for rule in text:gmatch "[^,]+" do rules[#rules + 1] = parse(rule, "--rename") end
  return rules
end

function rename.rule_for(rules, name)
  for _, rule in ipairs(rules) do
    if name:find(rule.pattern) then
      rule.used = true
      return rule, (name:gsub(rule.pattern, rule.put))
    end
  end
  return nil
end

-- A rule of the command line without effect is a slip of the pen; those of a file may be for more tensors than there are today.
function rename.check_used(rules, path)
  local used = #rules == 0
  for _, rule in ipairs(rules) do
    used = used or rule.used
    if not rule.used and rule.from == "--rename" then
      error(("--rename: %s has no tensor '%s'"):format(path, rule.theirs), 0)
    end
  end
  if not used then error(("%s: %s has no tensor that a rule is for"):format(rules[1].from:match "^(.*):%d+$", path), 0) end
end

return rename

-- What a message says in a hurry: its first sentence, and in that what stands before a colon ("Shown: ..", "Not shown: ..") or
-- after one at its end (".. : shown.").
local kinds = { { "^shown$", "shown" }, { "^shown ", "partly" }, { "^not shown", "not" }, { "^refuted", "not" },
  { "^no paper has this$", "ours" }, { "^a benchmark of ours$", "ours" } }

local function kind_of(word)
  for _, kind in ipairs(kinds) do
    if word:lower():find(kind[1]) then return kind[2] end
  end
end

local function first_sentence(text)
  local at = 1
  while true do
    local stop, after = text:match("()[.!?]%s+()[\"`(]?%u", at)
    if not stop then return text end
    local word = text:sub(1, stop - 1):match "(%S+)$" or ""
    if not (" Fig App vs cf al "):find(" " .. word:gsub("^%(", "") .. " ", 1, true) then return text:sub(1, stop) end
    at = after
  end
end

-- word: nil if the sentence has none; kind: "shown", "partly", "not", "ours" (nothing is published) or "none"; text: what follows.
return function(message)
  local sentence = first_sentence(message)
  local word, rest = sentence:match "^([^:`(]+): (.*)$"
  if word and #word <= 60 then return { word = word, kind = kind_of(word) or "none", text = rest, sentence = sentence } end
  rest, word = sentence:match "^(.*): ([^:]-)%.?$"
  if word and kind_of(word) then
    return { word = word:sub(1, 1):upper() .. word:sub(2), kind = kind_of(word), text = rest .. ".", sentence = sentence }
  end
  return { kind = "none", text = sentence, sentence = sentence }
end

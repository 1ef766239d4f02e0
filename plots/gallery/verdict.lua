-- What a message says in a hurry: its first sentence, and in that what stands before a colon, "Shown", "Not shown", "Refuted".
local kinds = { { "^Shown$", "shown" }, { "^Shown ", "partly" }, { "^Not shown", "not" }, { "^Refuted", "not" } }

local function first_sentence(text)
  local at = 1
  while true do
    local stop, after = text:match("()[.!?]%s+()%u", at)
    if not stop then return text end
    local word = text:sub(1, stop - 1):match "(%S+)$" or ""
    if not (" Fig App vs cf al "):find(" " .. word:gsub("^%(", "") .. " ", 1, true) then return text:sub(1, stop) end
    at = after
  end
end

-- word: nil if the sentence has none; kind: "shown", "partly", "not" or "none"; text: what follows.
return function(message)
  local sentence = first_sentence(message)
  local word, rest = sentence:match "^([^:`(]+): (.*)$"
  if not word or #word > 60 then return { kind = "none", text = sentence, sentence = sentence } end
  for _, kind in ipairs(kinds) do
    if word:find(kind[1]) then return { word = word, kind = kind[2], text = rest, sentence = sentence } end
  end
  return { word = word, kind = "none", text = rest, sentence = sentence }
end

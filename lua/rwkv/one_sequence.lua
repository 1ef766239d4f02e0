-- one_sequence(call, model, tokens) -> the ids of one sequence as a new list. tokens: a list of numbers, a list of one such
-- list, or rwkv.tokens of one sequence; ids that the model has. call: for errors, which have no place.
local core = require "rwkv.core"

return function(call, model, tokens)
  local function fail(...) error(call .. ": " .. string.format(...), 0) end
  local ok, sequences = pcall(function() return core.tokens(tokens):tolist() end)
  if not ok then fail("expected the tokens of one sequence: %s", (tostring(sequences):gsub("^tokens: ", ""))) end
  if #sequences ~= 1 then fail("expected the tokens of one sequence, found %d sequences", #sequences) end
  local vocab = model:config().vocab
  for i, id in ipairs(sequences[1]) do
    if id < 0 or id >= vocab then fail("token %d is %d, expected 0 to %d", i, id, vocab - 1) end
  end
  return sequences[1]
end

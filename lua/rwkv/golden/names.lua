-- What other people call the tensors of a pack.
local names = {}

-- Patterns of other names, and the pack's name for them.
local aliases = {
  { "^logits_gpt$", "logits" }, { "^logits_rnn[%w_]*$", "logits" },           -- shared official numbers
  { "^state%.att%.(%d+)%.(%l+)$", "state.%1.att_%2" }, { "^state%.ffnPre%.(%d+)%.(%l+)$", "state.%1.att_%2" },
  { "^state%.ffn%.(%d+)%.(%l+)$", "state.%1.ffn_%2" },
  { "^output$", "logits" }, { "^out$", "logits" }, { "^lm_logits$", "logits" }, -- of Hugging Face and others
  { "^last_hidden_state$", "trace.ln_out.y" },
  { "^result_output$", "logits" }, { "^result_norm$", "trace.ln_out.y" },      -- as llama.cpp calls them when it computes
  { "^l_out%-(%d+)$", "trace.blocks.%1.out.x" }, { "^attn_norm%-(%d+)$", "trace.blocks.%1.att.x" },
  { "^ffn_norm%-(%d+)$", "trace.blocks.%1.ffn.x" },
}

local function count(shape)
  local n = 1
  for _, size in ipairs(shape) do n = n * size end
  return n
end

-- The pack's name for a tensor of another file, whose shape tells a state after each token from the last one; nil if it has
-- none.
function names.find(p, name, shape)
  local seen = p.tensors["trace." .. name]
  if seen and (not p.tensors[name] or count(seen.shape) == count(shape)) then return "trace." .. name end
  if p.tensors[name] then return name end
  for _, alias in ipairs(aliases) do
    local ours, found = name:gsub(alias[1], alias[2])
    if found > 0 and p.tensors[ours] then return ours end
  end
  return nil
end

-- Whether one of the words "a,b*c" stands in a name; * is anything.
function names.any(words, name)
  for word in words:gmatch "[^,]+" do
    if name:find((word:gsub("[^%w*]", "%%%0"):gsub("%*", ".-"))) then return true end
  end
  return false
end

-- For people: without "trace.".
function names.short(name) return (name:gsub("^trace%.", "")) end

-- The kind of a tensor: "weight", "trace", "state", "logits", "loss", "grad".
function names.kind(name)
  return name:match "^(trace)%." or name:match "^(state)%." or name:match "^(grad)%." or name:match "^(logits)$"
    or name:match "^(loss)$" or name:match "^(tokens)$" or name:match "^(targets)$" or "weight"
end

return names

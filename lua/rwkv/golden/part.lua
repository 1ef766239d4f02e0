-- part(p, name, ours, theirs, tol) -> { kind = "part", phrase =, worst =, rms =, position = or sequence = } if theirs, of which there are
-- fewer numbers, are ours at one position of each sequence, or of one sequence alone; otherwise nil. See pattern.lua.
local names = require "rwkv.golden.names"
local private = require "rwkv.core".private

return function(p, name, ours, theirs, tol)
  local n, m, B, T = ours.value:size(), theirs.value:size(), #p.tokens, #p.tokens[1]
  local kind = names.kind(name)
  if kind ~= "trace" and kind ~= "logits" or ours.shape[1] ~= B or ours.shape[2] ~= T or m == 0 then return nil end
  local row = n // (B * T)
  local options = { scale = private.compare(theirs.value, theirs.value, { period = m }).scale, tol = tol.worst }
  local function is(phrase, field, at, box)
    local worst, rms = private.like(ours.value, theirs.value, options, box)
    return worst and rms <= tol.rms and { kind = "part", phrase = phrase:format(at), worst = worst, rms = rms, [field] = at } or nil
  end
  local found = nil
  for t = m == B * row and T - 1 or -1, 0, -1 do
    found = found or is(B > 1 and "position %d of each sequence alone" or "position %d alone", "position", t,
      { size = { B, row }, found = { row, 1 }, expected = { T * row, 1 }, expected_from = t * row })
  end
  for b = 0, m == T * row and B - 1 or -1 do
    found = found or is("sequence %d alone", "sequence", b, { size = { m }, found = { 1 }, expected = { 1 }, expected_from = b * m })
  end
  return found
end

-- next_token(tokens, asked, everywhere) -> inputs, targets: all tokens but the last, each with the one after it as its target where
-- asked[place of the target] is true, or everywhere.
return function(tokens, asked, everywhere)
  local inputs, targets = {}, {}
  for t = 1, #tokens - 1 do
    inputs[t], targets[t] = tokens[t], (everywhere or asked[t + 1]) and tokens[t + 1] or -100
  end
  return inputs, targets
end

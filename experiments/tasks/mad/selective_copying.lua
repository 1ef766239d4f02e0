-- Selective copying: `copies` symbols among blanks, a mark, and as many blanks, where the symbols are asked for in their order.
--
--     - - 5 - 0 - - 5  COPY  - - -
--                            5 0 5     targets
--
-- Symbols are 0 .. V-3, the blank V-2, COPY V-1. Each blank stands before one of the symbols, all of them equally likely.
local function check(task, expect)
  expect(task.vocab >= 3, "vocab is %s, expected 3 or more: symbols, the blank and the mark", task.vocab)
  expect(task.seq > 2 * task.copies, "seq is %s, expected %s or more: %s symbols twice and the mark", task.seq, 2 * task.copies + 1,
    task.copies)
end

local function example(task, rng)
  local blank, n, before, inputs, targets = task.vocab - 2, task.copies, {}, {}, {}
  local function add(token, target) inputs[#inputs + 1], targets[#targets + 1] = token, target end
  for i = 1, n do before[i] = 0 end
  for _ = 1, task.seq - 2 * n - 1 do
    local i = rng:integer(1, n)
    before[i] = before[i] + 1
  end
  local symbols = {}
  for i = 1, n do
    symbols[i] = rng:integer(0, blank - 1)
    for _ = 1, before[i] do add(blank, -100) end
    add(symbols[i], -100)
  end
  add(task.vocab - 1, -100)
  for i = 1, n do add(blank, symbols[i]) end
  return inputs, targets
end

return { published = { vocab = 16, seq = 256, copies = 16 }, check = check, example = example }

-- Long context: text as a task, the loss at every position, recall by position, needles.
local rwkv = require "rwkv"
local mqar = require "experiments.tasks.mqar"
local needle = require "experiments.tasks.needle"
local positions = require "experiments.measure.positions"
local recall = require "experiments.measure.recall"
local text = require "experiments.tasks.text"
local check = require "tests.lua.lib.check"
local test, equal, fails = check.test, check.equal, check.fails
local tight = rwkv.precision == "float64" and 1e-12 or 1e-5

-- A text of lines, in which every byte is known: 3000 lines, an empty one after each 50.
local path = "runs/tests/longctx.txt"
local lines, rng = {}, rwkv.rng(3)
for i = 1, 3000 do
  lines[#lines + 1] = ("%d "):format(i) .. ("word "):rep(rng:integer(0, 9)) .. string.char(rng:integer(128, 255))
  if i % 50 == 0 then lines[#lines + 1] = "" end
end
local content = table.concat(lines, "\n") .. "\n"
rwkv.mkdir "runs/tests"
rwkv.write_file(path, content)

local function bytes(offset, count) return { content:byte(offset + 1, offset + count) } end

test("windows: bytes of the range and no others, each place possible, the same in any batch", function()
  local task = text.new { path = path, from = 100, to = 140, seq = 9, seed = 5 }
  local starts, low, high = {}, math.huge, 0
  for i = 1, 2000 do
    local offset = task:offset(i)
    starts[offset], low, high = true, math.min(low, offset), math.max(high, offset)
  end
  equal({ low, high }, { 100, 130 }) -- the target of the last byte is the last of the range
  for offset = 100, 130 do assert(starts[offset], "no window starts at " .. offset) end
  local inputs, targets = task:batch(5, 3)
  equal(inputs:tolist()[3], bytes(task:offset(7), 9))
  equal(targets:tolist()[3], bytes(task:offset(7) + 1, 9))
  equal((task:batch(7, 1)):tolist()[1], inputs:tolist()[3])
  equal(text.new { path = path, from = 10, to = 20, seq = 9 }:offset(4), 10) -- the one window there is
end)

test("streams are contiguous and complete, and begin anew at their ends", function()
  for _, streams in ipairs { 1, 3, 8 } do
    local task = text.new { path = path, from = 50, to = 2050, seq = 31, carry = true, streams = streams }
    local read, seen, k = {}, {}, 0
    for s = 1, streams do read[s] = {} end
    repeat
      local first = k * streams + 1
      equal(task:restarts(first), k == 0)
      local inputs, targets = task:batch(first, streams)
      inputs, targets = inputs:tolist(), targets:tolist()
      for s = 1, streams do
        table.move(inputs[s], 1, 31, #read[s] + 1, read[s])
        for t = 1, 31 do seen[50 + (s - 1) * (1999 // streams) + k * 31 + t] = targets[s][t] end
      end
      k = k + 1
    until task:restarts(k * streams + 1)
    local share = 1999 // streams
    for s = 1, streams do
      equal(read[s], bytes(50 + (s - 1) * share, #read[s]))
      assert(share - #read[s] < 31, "less than a segment is left out")
    end
    for offset, byte in pairs(seen) do
      assert(offset > 50 and offset < 2050)
      equal(content:byte(offset + 1), byte)
    end
    equal((task:batch(k * streams + 1, streams)):tolist(), (task:batch(1, streams)):tolist())
  end
end)

test("the parts of a text: cut at empty lines, what is trained on ends before the document", function()
  local parts = text.parts(path)
  equal(parts.text_bytes, #content)
  for _, at in ipairs { parts.test_from, parts.document_from } do equal(content:sub(at - 1, at), "\n\n") end
  assert(parts.test_from >= #content * 0.87 and parts.test_from < parts.document_from)
  assert(parts.document_from >= #content * 0.9 and parts.document_from < #content * 0.95)
  for carry = 0, 1 do
    local c = { seq = 40, batch = 4, carry = carry, seed = 0 }
    for name, value in pairs(parts) do c[name] = value end
    local train, tests = text.of(c)
    for i = 1, 3000 do
      assert(train:offset(i) + 40 < parts.test_from, "a target is beyond what is trained on")
      local at = tests:offset(i)
      assert(at >= parts.test_from and at + 40 < parts.document_from, "a test is not between")
    end
    local starts = tests.document:stretches(4, 500)
    equal(#starts, 4)
    for i, at in ipairs(starts) do
      assert(at >= parts.document_from and at + 500 <= #content)
      assert(i == 1 or at >= starts[i - 1] + 500, "stretches overlap")
      assert(at == #content - 500 or content:sub(at, at) == "\n", "a stretch starts within a line")
    end
  end
  local sum = parts.text_sum
  rwkv.write_file(path .. ".2", content:sub(1, 7000) .. "?" .. content:sub(7002))
  assert(text.parts(path .. ".2").text_sum ~= sum)
end)

test("a text that is not there, or too short", function()
  fails(function() text.new { path = "build/no-such.txt", seq = 8 } end, "build/no-such.txt")
  fails(function() text.new { path = path, from = 0, to = 20, seq = 20 } end, "20 bytes")
  fails(function() text.new { path = path, from = 0, to = 1 << 40, seq = 20 } end, tostring(#content))
  fails(function() text.new { path = path, seq = 0 } end, "seq is 0")
  fails(function() text.new { path = path, from = 9, to = 99, seq = 8 }:bytes(0, 8) end, "9 to 98")
  fails(function() text.new { path = path, from = 9, to = 99, seq = 8 }:stretches(1, 91) end, "90 bytes")
end)

test("the loss at every position is the model's own, in pieces as in one", function()
  local task = text.new { path = path, seq = 60, seed = 2 }
  for _, m in ipairs { { version = "v4" }, { version = "v6" }, { version = "v7" },
    { version = "v7", hooks = { time_mix = "attention", ffn_shift = "none" } } } do
    local model = rwkv.model { version = m.version, hooks = m.hooks, layers = 2, dim = 16, head_size = 8, vocab = 256, seed = 1 }
    local opt, inputs, targets = rwkv.adamw(model, { lr = 1e-2 }), task:batch(1, 3)
    for _ = 1, 3 do
      model:zero_grad()
      model:loss(inputs, targets):backward()
      opt:step()
    end
    local rows = {}
    for b, row in ipairs(inputs:tolist()) do
      rows[b] = row
      row[61] = targets:tolist()[b][60]
    end
    local whole, sum = positions.losses(model, rows, 60), 0
    for _, piece in ipairs { 1, 7, 59, 100 } do equal(positions.losses(model, rows, piece), whole, tight) end
    for _, l in ipairs(whole) do
      equal(#l, 60)
      for _, x in ipairs(l) do sum = sum + x end
    end
    equal(sum / 180, rwkv.no_grad(function() return (model:loss(inputs, targets)) end):item(), tight)
  end
end)

test("the loss after the last tokens alone is that of a text that begins there", function()
  local model = rwkv.model { version = "v6", layers = 2, dim = 16, head_size = 8, vocab = 256, seed = 3 }
  local rows, half = { bytes(0, 68), bytes(500, 68) }, 8
  local found, all = positions.within(model, rows, 2 * half), positions.losses(model, rows, 10)
  for b, row in ipairs(rows) do
    equal(#found[b], 67)
    for p = 1, 67 do
      local from = math.max(0, (p - 1) // half * half - half)
      local alone = positions.losses(model, { table.move(row, from + 1, p + 1, 1, {}) }, 50)[1]
      equal(found[b][p], alone[p - from], tight)
      if p <= 2 * half then equal(found[b][p], all[b][p], tight) end
    end
  end
end)

test("the memory for the last tokens does not grow with the text", function()
  local script = "runs/tests/within.lua"
  rwkv.mkdir "runs/tests"
  rwkv.write_file(script, [[
local rwkv = require "rwkv"
local positions = require "experiments.measure.positions"
local model = rwkv.model { version = "v4", layers = 2, dim = 32, vocab = 256, head_size = 16 }
local text = {}
for i = 1, 30001 do text[i] = i * i % 251 end
rwkv.no_grad(function() positions.within(model, { text }, 64) end)]])
  local out, status = check.shell(("%s --max-memory 200M %s"):format(check.program, script))
  assert(status == 0, out)
  os.remove(script)
end)

test("intervals: every position once, their mean the mean, the error that of independent texts", function()
  local edges = positions.edges(24576, 24)
  equal({ edges[1], edges[#edges] }, { 1, 24576 })
  for i = 2, #edges do assert(edges[i] > edges[i - 1]) end
  local losses = {}
  for b = 1, 4 do
    losses[b] = {}
    for p = 1, 100 do losses[b][p] = p + b end -- differs between texts by b
  end
  local rows, next_first, total, count = positions.binned(losses, 10), 1, 0, 0
  for _, r in ipairs(rows) do
    equal(r.first, next_first)
    next_first, total, count = r.last + 1, total + r.loss * r.count, count + r.count
    equal(r.loss, (r.first + r.last) / 2 + 2.5, 1e-12)
    equal(r.stderr, (5 / 3 / 4) ^ 0.5, 1e-9) -- the variance of 1, 2, 3, 4 is 5/3
    equal(r.bits, r.loss / math.log(2), 1e-12)
  end
  equal({ next_first, count }, { 101, 400 })
  equal(total / count, 53, 1e-12)
end)

test("recall by position: every answer once, where it was asked", function()
  local task = mqar.new { vocab = 32, seq = 64, pairs = 4, random_filler = false, seed = 3 }
  -- Looks every key up in the sequence itself, but only as far as position 24.
  local oracle = { forward = function(_, inputs)
    local logits = {}
    for b, row in ipairs(inputs) do
      local value_of = {}
      for i = 1, 7, 2 do value_of[row[i]] = row[i + 1] end
      logits[b] = {}
      for t, token in ipairs(row) do
        local answer, scores = t <= 24 and value_of[token] or 0, {}
        for v = 0, 31 do scores[v + 1] = v == answer and 1 or 0 end
        logits[b][t] = scores
      end
    end
    return rwkv.tensor(logits)
  end }
  local count, right = 0, 0
  for _, row in ipairs(recall.by_position(oracle, task, 25, 10, 12)) do
    assert(row.last > 8, "before the first question")
    count, right = count + row.count, right + row.count * row.accuracy
    if row.last <= 24 then equal(row.accuracy, 1) elseif row.first > 24 then equal(row.accuracy, 0) end
  end
  equal(count, 25 * task.pairs)
  local near = 0
  for i = 1, 25 do
    local _, targets = task:example(i)
    for t = 1, 24 do if targets[t] >= 0 then near = near + 1 end end
  end
  equal(right, near, 1e-9)
  assert(near > 0 and near < count)
end)

test("needles: one, whole, where depth says, asked for at the end", function()
  for _, s in ipairs { { seq = 64, digits = 4, vocab = 32 }, { seq = 9, digits = 4, vocab = 13 },
    { seq = 80, digits = 2, vocab = 20, distractors = 0.3 } } do
    local depths = { [false] = true, [0] = true, [0.5] = true, [1] = true }
    for depth in pairs(depths) do
      local task = needle.new { seq = s.seq, digits = s.digits, vocab = s.vocab, distractors = s.distractors, depth = depth or nil,
        seed = 4 }
      local T, D, places = s.seq, s.digits, {}
      for i = 1, 200 do
        local inputs, targets = task:example(i)
        equal({ #inputs, #targets }, { T, T })
        local at
        for t = 1, T do
          assert(inputs[t] >= 0 and inputs[t] < s.vocab)
          assert(targets[t] == -100 or t > T - D, "scored before the question")
          if inputs[t] == 0 then
            assert(not at, "two needles")
            at = t
          end
          equal(inputs[t] == 1, t == T - D + 1)
          if not s.distractors and inputs[t] >= 2 and inputs[t] <= 11 then
            assert((t > at and t <= at + D) or t > T - D + 1, "a digit in the filler")
          end
        end
        for d = 1, D do
          equal(targets[T - D + d], inputs[at + d])
          if d > 1 then equal(inputs[T - D + d], inputs[at + d - 1]) end
        end
        places[at] = true
        if depth then equal(at - 1, math.floor(depth * (T - 2 * D - 1) + 0.5)) end
      end
      if not depth then assert(places[1] and places[T - 2 * D], "not every depth is there") end
    end
  end
  local task = needle.new { seq = 64, vocab = 32, seed = 4 }
  equal((task:batch(5, 4)):rows(3):tolist(), (task:batch(7, 1)):tolist())
  fails(function() needle.new { seq = 8, vocab = 32 } end, "need 9")
  fails(function() needle.new { seq = 64, vocab = 12 } end, "vocab is 12")
  fails(function() needle.new { seq = 64, vocab = 32, depth = 2 } end, "depth is 2")
end)

test("answers in pieces are those of the whole, and the model's own score", function()
  local task = needle.new { seq = 40, vocab = 32, digits = 2, seed = 1 }
  local model = rwkv.model { version = "v7", layers = 1, dim = 16, head_size = 8, vocab = 32, seed = 1 }
  local opt = rwkv.adamw(model, { lr = 1e-2 })
  for step = 1, 30 do
    model:zero_grad()
    model:loss(task:batch(step * 16, 16)):backward()
    opt:step()
  end
  local whole, single = task:right(model, 1, 30, 40)
  for _, piece in ipairs { 1, 16, 37, 1000 } do equal({ task:right(model, 1, 30, piece) }, { whole, single }) end
  rwkv.no_grad(function()
    local _, score = model:loss(task:batch(1, 30))
    equal(score.correct, single)
  end)
  assert(single > 0 and whole <= single / 2)
end)

-- aviary embed MODEL < LINES    a vector a line of the input, as tab-separated numbers on the standard output
--   [--vocab FILE|DIR|bytes] [--from hidden|state: the output of the last norm, or the state after the text]
--   [--pool mean|last: of hidden, over the tokens] [--layer N: of state, from 1; otherwise the last one]
--   [--raw: not divided by their length] [--end-id N: a token that is added to each text]
--   [--out FILE.safetensors: the tensor "embedding" [lines,D] instead; else a text file]
--   [--dtype f32|bf16|f16: of the weights in memory; otherwise as in the file] [--head-size N: where the file does not tell]
-- Explained in: aviary help text.md
local rwkv = require "rwkv"
local command = require "rwkv.text.command"
local visible = require "rwkv.visible"

local usage = "aviary embed MODEL [--vocab FILE] [options] < LINES; `aviary help embed` lists them"
local defaults = { from = "hidden", pool = "", layer = 0, raw = false, end_id = -1, out = "" }

local function numbers(row)
  local words = {}
  for i, x in ipairs(row) do words[i] = ("%.9g"):format(x) end
  return table.concat(words, "\t")
end

os.exit(command.status("embed", function(arguments)
  local o = command.options(arguments, usage, command.loading, defaults)
  local model, tokenizer = command.model(o)
  local q = { tokenizer = tokenizer, from = o.from, pool = o.pool ~= "" and o.pool or nil, normalize = not o.raw,
    layer = o.layer ~= 0 and o.layer or nil, end_id = o.end_id ~= -1 and o.end_id or nil }
  local rows, lines, bar = {}, 0, rwkv.progress("embed", 0, "texts")
  local tensors = o.out:find "%.safetensors$" ~= nil
  for line in io.lines() do
    lines = lines + 1
    local ok, vector = pcall(model.embed, model, line:gsub("\r$", ""), q)
    if not ok then
      local what = tostring(vector):gsub("^[^\n ]+%.lua:%d+: ", ""):gsub("^embed: ", ""):gsub("text 1 is empty", "it is empty")
      error(("line %d: %s"):format(lines, what), 0)
    end
    if o.out == "" then
      io.write(numbers(vector:tolist()[1]), "\n")
    else
      rows[lines] = tensors and vector or numbers(vector:tolist()[1])
    end
    bar.total = lines
    bar:update(lines)
  end
  if lines == 0 then error("there is no line in the input", 0) end
  if tensors then
    rwkv.save_tensors(o.out, { { name = "embedding", value = rwkv.no_grad(rwkv.concat, rows, 1) } }, { from = o.from })
  elseif o.out ~= "" then
    rwkv.write_file(o.out, table.concat(rows, "\n") .. "\n")
  end
  bar:clear()
  visible.say("%d vectors%s", lines, o.out ~= "" and " in " .. o.out or "")
  return 0
end), true)

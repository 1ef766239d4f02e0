-- A trained RWKV-7 of somebody else, which reverses digits: "1000," goes on as "0001#". It comes from BlinkDL/RWKV-LM, RWKV-v8
-- (260123_reverse_L2_only_rwkv7.pth), and differs from ref/v7.c in three places:
--   its embedding is not normalised                                embed_norm = "none"
--   a constant is added to the stream after each time mixing       a hook in time_out
--   its head has a bias b                                          W (y + d) = W y + b: d, where W d = b, joins ln_out.bias
--   aviary experiments/reverse_v7.lua --data FOLDER [PROMPT ..]
-- The folder has the tensors of that file under its names, reverse_v7.weights.safetensors, and its prompts and logits, reverse_v7.jsonl and
-- reverse_v7.golden.safetensors. Without prompts those of the folder are taken, and the logits compared. The last line: reversed=R/N, worst=the largest difference.
local rwkv = require "rwkv"
rwkv.need_double()
rwkv.backend "reference"

local o = rwkv.options(arg, { data = "" })
if o.data == "" then error("--data: expected the folder with reverse_v7.weights.safetensors", 0) end
local vocab = "0123456789,#"
for _, prompt in ipairs(o) do
  if not prompt:find "^%d+,$" then error(("prompt '%s': expected digits and a comma, as in 1000,"):format(prompt), 0) end
end

-- ---- the file's names, and what it is called here ----

local function in_block(name) return function(i, rest) return ("blocks.%d.%s"):format(i - 1, name:gsub("*", rest)) end end
local names = {
  { "^e%.weight$", function() return "emb.weight" end },
  { "^ln(%d)a%.(.+)$", in_block "ln1.*" }, { "^ln(%d)b%.(.+)$", in_block "ln2.*" },
  { "^rwkv(%d)%.(.+)$", in_block "att.*" }, { "^ffn(%d)%.(.+)$", in_block "ffn.*" },
  { "^rosa(%d)%.o%.(bias)$", in_block "att.time_out.constant.*" },
  { "^lno%.(.+)$", function(rest) return "ln_out." .. rest end },
  { "^o%.weight$", function() return "head.weight" end }, { "^o%.bias$", function() return "head.bias" end },
}
local dead = {
  "^ln%dc%.", "^rosa%d%.[^o]", "^rosa%d%.o%.weight$", -- another branch: its embedding is 0, and so is all but its last bias
  "^rwkv1%.v[012]$",                                  -- the value residual of the first layer, which has none before it
}

local function is_dead(name)
  for _, pattern in ipairs(dead) do if name:find(pattern) then return true end end
  return false
end

local function rename(tensors)
  local weights = {}
  for name, e in pairs(tensors) do
    local ours
    for _, rule in ipairs(is_dead(name) and {} or names) do
      if name:find(rule[1]) then ours = rule[2](name:match(rule[1])) end
    end
    if not ours and not is_dead(name) then error(("%s: no parameter is called '%s'"):format(o.data, name), 0) end
    if ours then weights[ours] = e.value end
  end
  return weights
end

-- ---- the bias of the head ----

-- x with A x = b by Gauss's elimination; A [n][n] and b [n] are overwritten.
local function solve(A, b)
  local n = #b
  for i = 1, n do
    local best = i
    for r = i + 1, n do if math.abs(A[r][i]) > math.abs(A[best][i]) then best = r end end
    A[i], A[best], b[i], b[best] = A[best], A[i], b[best], b[i]
    for r = i + 1, n do
      local factor = A[r][i] / A[i][i]
      for c = i, n do A[r][c] = A[r][c] - factor * A[i][c] end
      b[r] = b[r] - factor * b[i]
    end
  end
  for i = n, 1, -1 do
    for c = i + 1, n do b[i] = b[i] - A[i][c] * b[c] end
    b[i] = b[i] / A[i][i]
  end
  return b
end

-- The shortest d [C] with W d = b; W [V,C] has full rank, and V <= C.
local function preimage(W, b)
  return rwkv.no_grad(function()
    local product = W:matmul(W:transpose(1, 2)):tolist() -- [V,V]
    return rwkv.tensor(solve(product, b:tolist())):reshape(1, -1):matmul(W):reshape(-1)
  end)
end

-- ---- the model ----

local constant = rwkv.hook { kind = "time_out", name = "constant", params = function(d) return { bias = { d.C } } end,
  apply = function(y, p) return y + p.bias end }

local model = rwkv.model { version = "v7", layers = 2, dim = 32, head_size = 16, vocab = #vocab, decay_rank = 8, iclr_rank = 8,
  value_rank = 8, gate_rank = 8, hooks = { embed_norm = "none", time_out = constant } }
local weights = rename(rwkv.load_tensors(o.data .. "/reverse_v7.weights.safetensors"))
local shift = preimage(weights["head.weight"], weights["head.bias"])
weights["ln_out.bias"], weights["head.bias"] = rwkv.no_grad(function() return weights["ln_out.bias"] + shift end), nil
model:assign(weights)

-- ---- prompts ----

local function ids_of(text)
  local ids = {}
  for c in text:gmatch "." do
    ids[#ids + 1] = vocab:find(c, 1, true) - 1
  end
  return ids
end

-- The likeliest continuation, up to "#" or as long as the prompt.
local function continued(prompt)
  local state, text = model:state(1), {}
  local next_ids = ids_of(prompt)
  repeat
    local best = rwkv.no_grad(function() return model:forward(next_ids, state, { last = true }):argmax() end)[1]
    next_ids = { best }
    text[#text + 1] = vocab:sub(best + 1, best + 1)
  until text[#text] == "#" or #text == #prompt
  return table.concat(text)
end

-- The largest difference from the official logits of the prompt and its continuation.
local function difference(tokens, logits)
  return rwkv.no_grad(function()
    local found = model:forward(tokens:tolist()) -- [1,T,V]
    return (found:reshape(logits:shape()) - logits):abs():max():item()
  end)
end

local prompts, reversed, worst = { table.unpack(o) }, 0, 0
if #prompts == 0 then
  for line in rwkv.read_file(o.data .. "/reverse_v7.jsonl"):gmatch "[^\n]+" do
    prompts[#prompts + 1] = line:match '"prompt": "(%d+,)"' or error(("%s: no prompt in '%s'"):format(o.data, line), 0)
  end
  local golden = rwkv.load_tensors(o.data .. "/reverse_v7.golden.safetensors")
  for i = 0, #prompts - 1 do
    local at = ("prompt%d."):format(i)
    worst = math.max(worst, difference(golden[at .. "tokens"].value, golden[at .. "logits"].value))
  end
end
for _, prompt in ipairs(prompts) do
  local text = continued(prompt)
  if text == prompt:sub(1, -2):reverse() .. "#" then reversed = reversed + 1 end
  print(prompt .. " " .. text)
end
print(("reversed=%d/%d worst=%.2g"):format(reversed, #prompts, worst))

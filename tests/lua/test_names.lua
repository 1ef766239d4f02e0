-- Models under the names of others: each family's file is written here from official weights, and must be the same model.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local test, equal, fails = check.test, check.equal, check.fails
rwkv.backend "reference"
rwkv.mkdir "runs/tests"
local path = "runs/tests/names.safetensors"

local function stirred(version)
  local model, rng = rwkv.model { version = version, layers = 3, dim = 24, head_size = version ~= "v4" and 8 or nil, vocab = 11 }, rwkv.rng(7)
  for _, t in model:parameters() do
    t:set(rwkv.no_grad(function() return rng:tensor("normal", t:shape()) * 0.5 end))
  end
  return model
end

-- { name = { shape = .., list = row-major numbers } }
local function weights(model)
  local map = {}
  for name, t in model:parameters() do map[name] = { shape = t:shape(), list = t:reshape(-1):tolist() } end
  return map
end

local function transposed(w)
  local rows, columns = w.shape[1], w.shape[2]
  local out = { shape = { columns, rows }, list = {} }
  for i = 1, rows do
    for j = 1, columns do out.list[(j - 1) * rows + i] = w.list[(i - 1) * columns + j] end
  end
  return out
end

local function shaped(w, ...) return { shape = { ... }, list = w.list } end

local function joined(list, ...)
  local out = { shape = { ... }, list = {} }
  for _, w in ipairs(list) do table.move(w.list, 1, #w.list, #out.list + 1, out.list) end
  return out
end

-- Blocks of columns of a matrix [C, 5 D], or [5, D, C], in another order.
local function column_blocks(w, order)
  local out, D = { shape = w.shape, list = {} }, w.shape[2] // 5
  for c = 0, w.shape[1] - 1 do
    for s = 0, 4 do
      for d = 1, D do out.list[c * 5 * D + s * D + d] = w.list[c * 5 * D + order[s + 1] * D + d] end
    end
  end
  return out
end
local function outer_blocks(w, order)
  local out, n = { shape = w.shape, list = {} }, #w.list // 5
  for s = 0, 4 do
    for i = 1, n do out.list[s * n + i] = w.list[order[s + 1] * n + i] end
  end
  return out
end

local function write(map, meta)
  local list = {}
  for name, w in pairs(map) do list[#list + 1] = { name = name, value = rwkv.tensor(w.list), shape = w.shape } end
  table.sort(list, function(a, b) return a.name < b.name end)
  rwkv.save_tensors(path, list, meta)
end

local function same(model, options)
  for _, weights_are in ipairs { "expanded", "packed" } do
    local q = { weights = weights_are }
    for name, value in pairs(options or {}) do q[name] = value end
    local back = rwkv.load(path, q)
    equal(back:config(), model:config())
    for name, t in model:parameters() do equal(back:param(name):tolist(), t:tolist()) end
    local function logits(m) return rwkv.no_grad(function() return m:forward({ { 1, 2, 3, 4 } }):reshape(-1):tolist() end) end
    equal(logits(back), logits(model))
  end
end

-- The file as it is, under official names, and back: the same tensors.
local function there_and_back(family)
  family = family or "fla"
  local official, back = "runs/tests/official.safetensors", "runs/tests/back.safetensors"
  rwkv.convert(path, official, { names = "official" })
  rwkv.convert(official, back, { names = family })
  local a, b = rwkv.load_tensors(path), rwkv.load_tensors(back)
  for name, e in pairs(a) do
    if not name:find "^model%.layers%.0%.attn%.v_lora" then -- nothing depends on it
      equal(b[name].shape, e.shape)
      equal(b[name].value:tolist(), e.value:tolist())
    end
  end
  for name in pairs(b) do assert(a[name], name) end
  equal(rwkv.info(official).family, "official")
  equal(rwkv.info(back).family, family)
  os.remove(official)
  os.remove(back)
end

local outer = { ["emb.weight"] = "model.embeddings.weight", ["head.weight"] = "lm_head.weight",
  ["ln_out.weight"] = "model.norm.weight", ["ln_out.bias"] = "model.norm.bias" }
local parts = { att = "attn", ffn = "ffn", ln0 = "pre_norm", ln1 = "attn_norm", ln2 = "ffn_norm" }
local proj = { receptance = "r_proj", key = "k_proj", value = "v_proj", gate = "g_proj", output = "o_proj", ln_x = "g_norm" }

local function fla_v7(model)
  local out = {}
  for name, w in pairs(weights(model)) do
    local layer, part, rest = name:match "^blocks%.(%d+)%.(%w+)%.(.+)$"
    local letter, n = (rest or ""):match "^([wvag])([012])$"
    if not layer then
      out[outer[name]] = w
    elseif letter then
      local place = ({ ["0"] = "2.bias", ["1"] = "0.weight", ["2"] = "2.weight" })[n]
      out[("model.layers.%s.attn.%s_lora.lora.%s"):format(layer, letter, place)] = n == "0" and shaped(w, #w.list) or transposed(w)
    else
      if part == "att" then rest = rest:gsub("^%l+_?x?", proj) end
      if rest == "k_k" or rest == "k_a" or part == "ffn" and rest == "x_k" then w = shaped(w, #w.list) end
      out[("model.layers.%s.%s.%s"):format(layer, parts[part], rest)] = w
    end
  end
  return out
end

test("fla: RWKV-7", function()
  local model = stirred "v7"
  write(fla_v7(model))
  same(model)
  there_and_back()
end)

test("fla: RWKV-7 of older files, whose six mixes are one tensor", function()
  local model = stirred "v7"
  local map = fla_v7(model)
  for layer = 0, 2 do
    local mixes = {}
    for i, s in ipairs { "r", "w", "k", "v", "a", "g" } do
      local name = ("model.layers.%d.attn.x_%s"):format(layer, s)
      mixes[i], map[name] = map[name], nil
    end
    map[("model.layers.%d.attn.x_x"):format(layer)] = joined(mixes, 6, 24)
  end
  write(map)
  same(model)
end)

test("fla: RWKV-6, whose five streams stand in another order", function()
  local model = stirred "v6"
  local out, order = {}, { 3, 0, 1, 2, 4 } -- r w k v g, of w k v r g
  local all = weights(model)
  for name, w in pairs(all) do
    local layer, part, rest = name:match "^blocks%.(%d+)%.(%w+)%.(.+)$"
    local function put(as, value) out[("model.layers.%s.%s"):format(layer, as)] = value end
    if not layer then out[outer[name]] = w
    elseif part:find "^ln" then put(parts[part] .. "." .. rest, w)
    elseif part == "ffn" then
      local map = { time_maa_k = "key.mu", time_maa_r = "receptance.mu", ["key.weight"] = "key.linear.weight",
        ["receptance.weight"] = "receptance.linear.weight", ["value.weight"] = "value.weight" }
      put("ffn." .. map[rest], rest:find "maa" and shaped(w, #w.list) or w)
    elseif rest == "time_maa_x" then put("attn.x_proj.0.mu", shaped(w, #w.list))
    elseif rest == "time_maa_w1" then put("attn.x_proj.0.linear.weight", transposed(column_blocks(w, order)))
    elseif rest == "time_maa_w2" then
      local blocks = outer_blocks(w, order)
      put("attn.x_proj.2.weight", transposed(shaped(blocks, w.shape[1] * w.shape[2], w.shape[3])))
    elseif rest == "time_maa_r" then
      local mixes = {}
      for i, s in ipairs { "r", "w", "k", "v", "g" } do mixes[i] = all[("blocks.%s.att.time_maa_%s"):format(layer, s)] end
      put("attn.x_bias", joined(mixes, 5, 24))
    elseif rest == "time_decay" then put("attn.w_proj.linear.lora.2.bias", shaped(w, #w.list))
    elseif rest == "time_decay_w1" then put("attn.w_proj.linear.lora.0.weight", transposed(w))
    elseif rest == "time_decay_w2" then put("attn.w_proj.linear.lora.2.weight", transposed(w))
    elseif rest == "time_faaaa" then put("attn.bonus", w)
    elseif rest == "output.weight" then put("attn.o_proj.weight", w)
    elseif rest:find "^ln_x" then put("attn.g_norm" .. rest:sub(5), w)
    elseif rest:find "weight$" then put("attn." .. proj[rest:match "^%l+"] .. ".linear.weight", w)
    end
  end
  write(out)
  same(model)
  there_and_back()
end)

for _, version in ipairs { "v4", "v5.2", "v6" } do
  test("transformers: " .. version, function()
    local model, out = stirred(version), {}
    local words = { k = "key", v = "value", r = "receptance", g = "gate" }
    for name, w in pairs(weights(model)) do
      local theirs = name:gsub("%.att%.", ".attention."):gsub("%.ffn%.", ".feed_forward."):gsub("ln0", "pre_ln")
        :gsub("time_mix_(%l)$", function(s) return "time_mix_" .. words[s] end):gsub("^emb", "embeddings")
      out[theirs == "head.weight" and theirs or "rwkv." .. theirs] = w
    end
    write(out)
    same(model)
    there_and_back "transformers"
  end)
end

-- Names of llama.cpp, as its converter makes them of the official ones.
local llama = { att = "time_mix_", ffn = "channel_mix_", ["ln1"] = "attn_norm", ["ln2"] = "attn_norm_2", ["ln0"] = "token_embd_norm" }
local llama_outer = { ["emb.weight"] = "token_embd.weight", ["head.weight"] = "output.weight",
  ["ln_out.weight"] = "output_norm.weight", ["ln_out.bias"] = "output_norm.bias" }
local llama_words = { time_maa_x = "lerp_x", time_maa_w1 = "w1", time_maa_w2 = "w2", time_decay = "decay", time_faaaa = "first",
  time_decay_w1 = "decay_w1", time_decay_w2 = "decay_w2", time_maa_k = "lerp_k", time_maa_r = "lerp_r", x_k = "lerp_k" }

-- w2 [5,D,C] -> [5,C,D]
local function each_transposed(w)
  local D, C = w.shape[2], w.shape[3]
  local out = { shape = { 5, C, D }, list = {} }
  for s = 0, 4 do
    for d = 0, D - 1 do
      for c = 0, C - 1 do out.list[(s * C + c) * D + d + 1] = w.list[(s * D + d) * C + c + 1] end
    end
  end
  return out
end

local function of_llama(model, streams)
  local out, all = {}, weights(model)
  for name, w in pairs(all) do
    local layer, part, rest = name:match "^blocks%.(%d+)%.(%w+)%.(.+)$"
    local fused = part == "att" and (rest:match "^x_%l$" or rest:match "^time_maa_[wkvrg]$")
    if not layer then
      out[llama_outer[name]] = w
    elseif part == "ln0" then
      out[llama.ln0 .. "." .. rest] = w
    elseif part:find "^ln" then
      out[("blk.%s.%s.%s"):format(layer, llama[part], rest)] = w
    elseif not fused then
      local word = rest:gsub("^ln_x", "ln"):gsub("^[%w_]+$", llama_words)
      if rest:find "^[wavg][12]$" or rest:find "_w[12]$" then w = #w.shape == 3 and each_transposed(w) or transposed(w) end
      if #w.shape == 3 and w.shape[1] == 1 or rest == "r_k" then w = shaped(w, #w.list) end
      local filler = layer == "0" and word:match "^a([012])$"
      local put = ("blk.%s.%s%s%s"):format(layer, llama[part], word, word:find "weight$" and "" or word:find "bias$" and "" or ".weight")
      if not (layer == "0" and rest:find "^v[012]$") then out[put] = w end
      if filler then out[("blk.0.time_mix_v%s.weight"):format(filler)] = w end
    end
  end
  for layer = 0, 2 do
    local mixes = {}
    for i, s in ipairs(streams) do mixes[i] = all[("blocks.%d.att.%s"):format(layer, s)] end
    out[("blk.%d.time_mix_lerp_fused.weight"):format(layer)] = joined(mixes, #streams, 1, 1, 24)
  end
  return out
end

test("llama.cpp: RWKV-7 and RWKV-6", function()
  local model = stirred "v7"
  local out = of_llama(model, { "x_r", "x_w", "x_k", "x_v", "x_a", "x_g" })
  write(out, { ["rwkv7.wkv.head_size"] = "8" })
  same(model)
  there_and_back "llama.cpp"
  write(out)
  fails(function() rwkv.load(path) end, "does not say how many heads there are")
  model = stirred "v6"
  out = of_llama(model, { "time_maa_w", "time_maa_k", "time_maa_v", "time_maa_r", "time_maa_g" })
  write(out)
  same(model)
  there_and_back "llama.cpp"
  write(out, { ["rwkv6.rescale_every_n_layers"] = "6" })
  fails(function() rwkv.load(path) end, "divided by 2 every 6 layers")
end)

test("llama.cpp: what its loader asks of the metadata", function()
  local model = rwkv.model { version = "v7", layers = 2, dim = 16, head_size = 8, vocab = 11, decay_rank = 3, iclr_rank = 4,
    value_rank = 5, gate_rank = 6 }
  model:save(path)
  rwkv.convert(path, "runs/tests/x.gguf", { names = "llama.cpp" })
  local map, meta = rwkv.load_tensors "runs/tests/x.gguf"
  for key, value in pairs { ["general.architecture"] = "rwkv7", ["rwkv7.block_count"] = "2", ["rwkv7.embedding_length"] = "16",
    ["rwkv7.feed_forward_length"] = "64", ["rwkv7.vocab_size"] = "11", ["rwkv7.wkv.head_size"] = "8",
    ["rwkv7.attention.decay_lora_rank"] = "3", ["rwkv7.attention.iclr_lora_rank"] = "4",
    ["rwkv7.attention.value_residual_mix_lora_rank"] = "5", ["rwkv7.attention.gate_lora_rank"] = "6",
    ["tokenizer.ggml.model"] = "none" } do
    equal({ key, meta[key] }, { key, value })
  end
  equal(map["blk.0.time_mix_v1.weight"].shape, { 4, 16 }) -- of the learning rate: nothing uses it
  equal(map["blk.1.time_mix_v1.weight"].shape, { 5, 16 })
  rwkv.convert(path, "runs/tests/x.gguf", { names = "llama.cpp", dtype = "bf16" })
  for name, e in pairs((rwkv.load_tensors "runs/tests/x.gguf")) do
    equal({ name, e.dtype }, { name, #e.shape == 2 and "bf16" or "f32" }) -- it has no sums of vectors in half precision
  end
  os.remove "runs/tests/x.gguf"
end)

-- ---- parts of a model, and gradients ----

test("weights and gradients of a part of a model, under names of families", function()
  local model = stirred "v7"
  local all = weights(model)
  local theirs, part = fla_v7(model), {}
  for name, w in pairs(theirs) do
    if name:find "^model%.layers%.1%." then part["module." .. name .. ".grad"], part["grad." .. name] = w, nil end
  end
  part["lm_head.weight"], part["grad.model.norm.bias"] = theirs["lm_head.weight"], theirs["model.norm.bias"]
  part["trace.blocks.1.out.x"], part["blocks.0.out.x"] = { shape = { 1 }, list = { 1 } }, { shape = { 1 }, list = { 2 } }
  write(part)
  local found = rwkv.load_tensors(path, "", "v7")
  for name, w in pairs(all) do
    local e = name:find "^blocks%.1%." and found["grad." .. name]
    if e then equal(e.value:reshape(-1):tolist(), w.list) end
    assert(e or not name:find "^blocks%.1%.", name)
  end
  equal(found["grad.blocks.1.att.w1"].shape, all["blocks.1.att.w1"].shape)
  equal(found["grad.blocks.1.att.w1"].given, "module.model.layers.1.attn.w_lora.lora.0.weight.grad")
  assert(found["head.weight"] and found["grad.ln_out.bias"] and found["trace.blocks.1.out.x"] and found["blocks.0.out.x"])
  write { ["module.blocks.0.att.key.weight"] = all["blocks.0.att.key.weight"], ["model.emb.weight.grad"] = all["emb.weight"],
    ["rwkv.blocks.0.attention.key.weight.grad"] = all["blocks.0.att.key.weight"], x = all["ln_out.bias"] }
  local names = {}
  for name in pairs(rwkv.load_tensors(path, "", "v7")) do names[#names + 1] = name end
  table.sort(names)
  equal(names, { "blocks.0.att.key.weight", "grad.blocks.0.att.key.weight", "grad.emb.weight", "x" })
  write { ["blocks.0.att.key.weight.grad"] = all["emb.weight"], ["grad.blocks.0.att.key.weight"] = all["emb.weight"] }
  fails(function() rwkv.load_tensors(path, "", "v7") end, "\"grad.blocks.0.att.key.weight\" stands there twice")
end)

test("what wrappers put in front of names, and what else a checkpoint holds", function()
  for _, prefix in ipairs { "module.", "_forward_module.", "model.", "module._orig_mod.", "state_dict.model." } do
    local model, out = stirred "v7", { ["optimizer.0.exp_avg"] = { shape = { 1 }, list = { 1 } } }
    for name, w in pairs(weights(model)) do out[prefix .. name] = w end
    write(out)
    same(model)
  end
  local model, out = stirred "v7", {}
  for name, w in pairs(fla_v7(model)) do out["module." .. name] = w end
  write(out)
  same(model)
end)

test("two models in a file are not chosen from", function()
  local out = {}
  for name, w in pairs(weights(stirred "v7")) do out["module." .. name], out["state_dict." .. name] = w, w end
  write(out)
  fails(function() rwkv.load(path) end, "two models", "module.emb.weight", "state_dict.emb.weight")
end)

test("heads that no shape tells", function()
  for _, version in ipairs { "v5.2", "v6", "v6b", "v7" } do
    local model, out = stirred(version), {}
    for name, w in pairs(weights(model)) do
      local flat = name:find "r_k$" or name:find "faaaa$" or version == "v5.2" and name:find "time_decay$"
      out[name] = flat and shaped(w, #w.list) or w
    end
    write(out)
    fails(function() rwkv.load(path) end, "does not say how many heads there are", "head_size")
    same(model, { head_size = 8 })
    fails(function() rwkv.load(path, { head_size = 7 }) end, "[24]")
    write(out, { head_size = "8" })
    same(model)
    write(out, { ["config.head_dim"] = "8" })
    same(model)
  end
  local model = stirred "v7"
  model:save(path)
  same(model, { head_size = 8 })
  fails(function() rwkv.load(path, { head_size = 12 }) end, "head_size 12 was asked for, its heads have 8")
  fails(function() rwkv.load(path, { head_size = 0 }) end, "head_size")
  fails(function() rwkv.load(path, { heads = 3 }) end, "heads", "head_size")
end)

test("names of nobody", function()
  write { ["encoder.weight"] = { shape = { 2 }, list = { 1, 2 } } }
  fails(function() rwkv.convert(path, "runs/tests/x.safetensors", { names = "fla" }) end, "no known family")
  stirred("v4"):save "runs/tests/v4.safetensors"
  fails(function() rwkv.convert("runs/tests/v4.safetensors", "runs/tests/x.safetensors", { names = "fla" }) end, "fla has names for RWKV-6 and RWKV-7 only")
  fails(function() rwkv.convert("runs/tests/v4.safetensors", "runs/tests/x.safetensors", { names = "hf" }) end, "hf")
  fails(function() rwkv.convert("runs/tests/v4.safetensors", "runs/tests/x.gguf", { names = "llama.cpp" }) end, "llama.cpp has names")
  stirred("v7"):save "runs/tests/v4.safetensors"
  fails(function() rwkv.convert("runs/tests/v4.safetensors", "runs/tests/x.pth", { names = "hf-rwkv4" }) end, "RWKV-4, RWKV-5 and RWKV-6")
  os.remove "runs/tests/v4.safetensors"
  fails(function() rwkv.load(path) end, "not an RWKV model", "encoder.weight")
  write(fla_v7(stirred "v7"))
  local map = fla_v7(stirred "v7")
  map["model.layers.1.attn.q_proj.weight"] = { shape = { 2 }, list = { 1, 2 } }
  write(map)
  fails(function() rwkv.load(path) end, "model.layers.1.attn.q_proj.weight")
end)

os.remove(path)

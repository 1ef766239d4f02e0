-- What the target golden begins with, written into the directory arg[1]: numbers of its model, whole and in parts.
local rwkv = require "rwkv"
local model = rwkv.model { version = "v7", layers = 1, dim = 4, head_size = 4, vocab = 5, decay_rank = 2, iclr_rank = 2,
  value_rank = 2, gate_rank = 2, seed = 1 }
local tokens, targets = { { 1, 2, 3 } }, { { 2, 3, 4 } }

local function tensor(name, value) return { name = name, value = value } end

local state = model:state(1)
local logits = rwkv.no_grad(function() return (model:forward(tokens, state)) end)
local loss = model:loss(tokens, targets)
loss:backward()
local all = { tensor("tokens", rwkv.tokens(tokens)), tensor("targets", rwkv.tokens(targets)), tensor("loss", loss:detach():reshape(1)) }
for _, name in ipairs { "logits_gpt", "logits_rnn", "logits_rnn_f32", "logits_rnn_exact_w" } do
  all[#all + 1] = tensor(name, logits)
end
for _, name in ipairs(state:names()) do all[#all + 1] = tensor("state." .. name, state:get(name)) end
local few = table.move(all, 1, #all, 1, {})
for name, t in model:parameters() do
  if t:grad() then all[#all + 1] = tensor("grad." .. name, t:grad()) end
end
local function save(name, list) rwkv.save_tensors(("%s/%s.safetensors"):format(arg[1], name), list) end
save("all", all)
save("few", few)
save("two", { all[1], all[4] })
save("odd", { all[1], all[5], tensor("state.att.0.kv", rwkv.zeros(1, 1, 4, 4)), tensor("grad_l2wrap.emb.weight", rwkv.zeros(5, 4)),
  tensor("nothing", rwkv.zeros(1)) })

-- What the target golden begins with, written into the directory arg[1]: names and shapes of numbers of its model.
local rwkv = require "rwkv"
local model = rwkv.model { version = "v7", layers = 1, dim = 4, head_size = 4, vocab = 5, decay_rank = 2, iclr_rank = 2,
  value_rank = 2, gate_rank = 2 }

local function lines(list)
  local out = {}
  for i, t in ipairs(list) do out[i] = t[1] .. " " .. table.concat(t, " ", 2) .. "\n" end
  return table.concat(out)
end

local ids = { { "tokens~", 1, 3 }, { "targets~", 1, 3 } }
local logits, state, gradients = { { "loss", 1 } }, {}, {}
for _, name in ipairs { "logits_gpt", "logits_rnn", "logits_rnn_f32", "logits_rnn_exact_w" } do
  logits[#logits + 1] = { name, 1, 3, 5 }
end
local s = model:state(1)
for _, name in ipairs(s:names()) do state[#state + 1] = { "state." .. name, table.unpack(s:get(name):shape()) } end
for name, t in model:parameters() do gradients[#gradients + 1] = { "grad." .. name, table.unpack(t:shape()) } end

local function save(name, ...)
  local text = ""
  for _, list in ipairs { ... } do text = text .. lines(list) end
  rwkv.write_file(arg[1] .. "/" .. name, text)
end
save("all", ids, logits, state, gradients)
save("few", ids, logits, state)
save("batch", { { "tokens~", 2, 2 } }, { { "logits_gpt", 2, 2, 5 }, { "state.att.0.kv", 2, 1, 4, 4 } })
save("odd", { { "tokens!", 5 }, { "targets!", 5 }, { "grad_l2wrap.emb.weight", 5, 4 }, { "nothing", 1 } })

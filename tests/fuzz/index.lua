-- What the target index begins with, written into the directory arg[1]: an index, and behind a byte 0 a config.json.
local rwkv = require "rwkv"

local index = '{"metadata":{"total_size":48},"weight_map":{"emb.weight":"a.safetensors","head.weight":"b.safetensors"}}'
local config = '{"head_dim":2,"hidden_size":4,"tie_word_embeddings":true,"model_type":"rwkv7","list":[1.5e3,null,false]}'
local all = { whole = index, config = index .. "\0" .. config, bad_config = index .. "\0{", no_map = '{"weight_map":[]}',
  missing = '{"weight_map":{"x":"c.safetensors"}}', outside = '{"weight_map":{"emb.weight":"../a.safetensors"}}',
  itself = '{"weight_map":{"x":"model.safetensors.index.json"}}', escaped = '{"weight_map":{"\\u0065mb.weight":"a.safetensors"}}' }
for name, text in pairs(all) do rwkv.write_file(arg[1] .. "/" .. name, text) end

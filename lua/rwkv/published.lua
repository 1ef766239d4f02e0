-- Sizes of released models: what `aviary info VERSION` prints.
local v4 = {}
for _, s in ipairs { { "169M", 12, 768 }, { "430M", 24, 1024 }, { "1.5B", 24, 2048 }, { "3B", 32, 2560 },
  { "7B", 32, 4096 }, { "14B", 40, 5120 } } do
  v4[#v4 + 1] = { s[1], layers = s[2], dim = s[3], vocab = 50277 }
end

return {
  v4 = v4, -- Pile models: Table 2 of arXiv:2305.13048
  v7 = {   -- ranks of decay, in-context learning rate, value and gate as released
    { "0.1B", layers = 12, dim = 768, vocab = 65536, decay_rank = 64, iclr_rank = 64, value_rank = 32, gate_rank = 128 },
    { "0.4B", layers = 24, dim = 1024, vocab = 65536, decay_rank = 64, iclr_rank = 64, value_rank = 32, gate_rank = 128 },
  },
}

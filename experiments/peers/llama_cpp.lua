-- A GGUF file of RWKV-7 with the random weights of `aviary bench decode`, for llama.cpp:
--   aviary --trust experiments/peers/llama_cpp.lua --size 0.1b --dtype f16 --out FILE.gguf
local rwkv = require "rwkv"
local infer = require "rwkv.bench.infer"

local o = rwkv.options(arg, { version = "v7", size = "0.1b", dtype = "f16", out = "runs/llama.gguf" })
local between = o.out .. ".safetensors"
infer.model { version = o.version, size = o.size, dtype = o.dtype, model = "" }:save(between)
local ok, why = pcall(rwkv.convert, between, o.out, { names = "llama.cpp", dtype = o.dtype })
os.remove(between)
if not ok then error(why, 0) end

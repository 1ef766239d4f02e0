-- What the target torch begins with: pickles, written into the directory arg[1].
local rwkv = require "rwkv"

local function text(s) return "X" .. ("<s4"):pack(s) end
local function global(module, name) return "c" .. module .. "\n" .. name .. "\n" end
local ordered = global("collections", "OrderedDict") .. ")R"

local function tensor(of)
  local storage = "(" .. text "storage" .. global("torch", of.storage or "FloatStorage") .. text "0" .. text "cpu" .. "K\6tQ"
  return global("torch._utils", of.make or "_rebuild_tensor_v2") .. "(" .. storage .. "K" .. (of.offset or "\0") ..
    "K\2K\3\x86" .. (of.strides or "K\3K\1\x86") .. "\x89" .. ordered .. (of.more or "") .. "tR"
end
local plain = tensor {}

local pickles = {
  dict = "\x80\2}q\0(" .. text "a" .. "q\1" .. plain .. "q\2" .. text "b" .. "h\2" .. "u.",
  ordered = "\x80\2" .. ordered .. "(" .. text "a" .. plain .. "u}" .. text "_metadata" .. ordered .. "sb.",
  nested = "\x80\4\x95\0\0\0\0\0\0\0\0}\x94(\x8c\1s}\x94(K\1" .. plain .. "\x88" .. plain .. "u\x8c\1l](" .. plain .. "N" ..
    plain .. "eK\7G\0\0\0\0\0\0\0\0u.",
  types = "\x80\5](" .. tensor { make = "_rebuild_tensor_v3", storage = "HalfStorage", more = global("torch", "uint16") } ..
    tensor { strides = "K\1K\2\x86" } .. global("torch._utils", "_rebuild_parameter") .. "(" .. plain .. "\x88" .. ordered .. "tRe.",
  typed = "\x80\2" .. global("torch._tensor", "_rebuild_from_type_v2") .. "(" .. global("torch._utils", "_rebuild_tensor_v2") ..
    global("torch", "Tensor") .. "(" .. "t}tR.",
  plain = "\x80\4}(\x8c\1a\x8f(K\1\x90\x8c\1b(K\1\x91\x8c\1cC\1x\x8c\1d\x8a\3abc\x8c\1e\x8c\5torch\x8c\4Size\x93)\x85R" ..
    "K\0J\0\0\0\0M\1\1B\1\0\0\0yu.",
}
for name, bytes in pairs(pickles) do rwkv.write_file(arg[1] .. "/" .. name, bytes) end

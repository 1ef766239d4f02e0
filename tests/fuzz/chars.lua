-- What the target chars begins with, written into the directory arg[1]: vocabularies, each with a text behind it, the byte
-- at which the text is cut, and its length.
local rwkv = require "rwkv"

local function save(name, vocabulary, text)
  rwkv.write_file(arg[1] .. "/" .. name, vocabulary .. text .. string.char(#text // 2, #text))
end

local function utf16(text, format)
  local out = {}
  for _, code in utf8.codes(text) do out[#out + 1] = format:pack(code) end
  return table.concat(out)
end

save("plain", '{"0":"a","1":"b","2":"\\n","3":"é","4":"\\u00fc","5":"\\ud83d\\ude00","6":"\\u0000"}', "abé\n\0ü😀")
save("mark", '\xef\xbb\xbf{"1": "x", "0": "y"}', "xyxy")
save("little", "\xff\xfe" .. utf16('{"0":"a","7":"é"}', "<I2"), "aéa")
save("big", utf16('{"0":"a","7":"é"}', ">I2"), "aéa")
save("wrong", '{"a":1,"-1":"b"}', "b")

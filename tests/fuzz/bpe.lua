-- What the target bpe begins with, written into the directory arg[1]: vocabularies, each with a text behind it, the byte at
-- which the text is cut, and its length.
local rwkv = require "rwkv"

local function save(name, vocabulary, text)
  rwkv.write_file(arg[1] .. "/" .. name, vocabulary .. text .. string.char(#text // 2, #text))
end

local small = '{"pre_tokenizer":{"type":"ByteLevel"},"model":{"vocab":{"a":0,"b":1,"ab":2,"Ġ":3,"Ġa":4,"Ġab":5,"aba":6},'
  .. '"merges":["a b","Ġ ab","ab a"]}'
save("small", small .. "}", "ab abab a")
save("nfc", '{"normalizer":{"type":"NFC"},' .. small:sub(2) .. "}", "ab ab")
save("added", '{"added_tokens":[{"id":9,"content":"  ","normalized":true},{"id":8,"content":"<|e|>","special":true}],'
  .. small:sub(2) .. "}", "ab<|e|>  ab")
save("pairs", '{"normalizer":{"type":"NFC"},"pre_tokenizer":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":{"Ã":1,"©":2,'
  .. '"Ã©":3,"Ċ":4,"x":5,"\'":6,"s":7,"\'s":8},"merges":[["Ã","©"],["\'","s"]]}}', "é\ne\u{301}x's")
save("dense", '{"pre_tokenizer":{"type":"ByteLevel"},"model":{"vocab":{"a":0,"aa":1,"aaa":2,"aaaa":3,"aaaaa":4,"aaaaaa":5},'
  .. '"merges":["a a","aa a","a aa","aaa a","aa aa","aaa aa","aaa aaa"]}}', ("a"):rep(99))
save("wrong", '{"truncation":1,"model":{"type":"WordPiece","vocab":{"a":0.5},"merges":["a","b c d"]}}', "a")

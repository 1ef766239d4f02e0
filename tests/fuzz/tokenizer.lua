-- What the target tokenizer begins with, written into the directory arg[1]: texts, each with a byte that says where it is
-- cut.
local rwkv = require "rwkv"

local texts = {
  "Hello, world! It's   the 20th of\tMay;\n\n we'll see <|endoftext|> there.", "e\u{301}a\u{308}o\u{323}\u{302} Ω Å ﬁ \u{1100}\u{1161}\u{11a8}",
  "日本語 汉字 한국어 हिन्दी ไทย 😀🏳️‍🌈", "\xff\xfe\xc3(\xe2\x82 \xf0\x9f\x98 \0\1\127", ("a"):rep(40) .. (" "):rep(30),
  "x = f(1.5e-3) -- \r\n\u{a0}\u{3000}\u{85}'re 'LL",
}
for i, text in ipairs(texts) do rwkv.write_file(("%s/%d"):format(arg[1], i), text .. string.char(i * 7)) end

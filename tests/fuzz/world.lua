-- What the target world begins with, written into the directory arg[1]: vocabularies, each with a text behind it, the byte
-- at which the text is cut, and its length.
local rwkv = require "rwkv"

local function save(name, vocabulary, text)
  rwkv.write_file(arg[1] .. "/" .. name, vocabulary .. text .. string.char(#text // 2, #text))
end

save("letters", "1 'a' 1\n2 'ab' 2\n3 'abc' 3\n4 'b' 1\n", "abcababa")
save("escapes", "1 '\\x00' 1\r\n2 '\\n' 1\r\n7 \"it's\" 4\r\n9 '\\u00e9\\U0001f600\\'' 7\r\n", "\0\nit'sé😀'")
save("bytes", "1 b'\\xff' 1\n2 b'\\xff\\xfe\\101' 3\n3 ' ' 1\n4 '\\t\\\\' 2\n5 'é' 2\n", "\xff\xff\xfeA é\t\\")
save("longer", "1 'a' 1\n2 'aaaa' 4\n3 'aaaaaaab' 8\n", ("a"):rep(30) .. "b")
save("twice", "1 'a' 1\n2 'a' 1\n", "a")

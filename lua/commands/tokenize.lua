-- aviary tokenize --vocab FILE < text              the ids of a text of any bytes: a space between two, a new line at the end
-- aviary tokenize --vocab FILE --decode < ids      the bytes that ids stand for
-- FILE: rwkv_vocab_v20230424.txt, 20B_tokenizer.json, vocab.json, a directory with one of them, or bytes; without --vocab it is
-- looked for in the directory of the environment variable AVIARY_VOCAB. Both read as they write, in little memory.
-- Explained in: aviary help text.md
local rwkv = require "rwkv"
local command = require "rwkv.command"
local ids = require "rwkv.text.ids"
local vocab = require "rwkv.text.vocab"

command.run("tokenize", function(arguments)
  local o = rwkv.options(arguments, { vocab = "", decode = false })
  if o[1] then error(("'%s' is no option; the text comes from the standard input"):format(o[1]), 0) end
  local tokenizer = vocab.find(o.vocab ~= "" and o.vocab or nil)
  local bar = rwkv.progress("tokenize", ids.size(io.stdin) or math.huge, "bytes")
  ids[o.decode and "decode" or "encode"](tokenizer, io.stdin, io.stdout, bar)
end)

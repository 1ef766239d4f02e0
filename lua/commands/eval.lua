-- aviary eval text MODEL TEXT..    perplexity of a token, bits a byte, and the loss by position; a text may have any length
--   [--chunk 512: tokens at once] [--separator TEXT: between documents, each of which begins anew; \n \t \r \0 \\]
--   [--limit N: tokens of each text]
-- aviary eval lambada MODEL --data FILE.jsonl    {"text": ..}: whether the last word of a passage is guessed, and its perplexity
-- aviary eval choices MODEL --data FILE.jsonl    {"prompt": .., "choices": [..], "answer": .., "group": ..}: whether the
--   likeliest choice is the answer, by log-likelihood, by that of a byte, and of a token
--   both: [--batch 512: tokens at once] [--limit N: the first N lines]
-- all: [--vocab FILE: the tokenizer's] [--prefix zero|newline|none: the token in front] [--dtype f32|bf16|f16: of the weights]
--   [--head-size N: where neither shapes nor metadata tell it]
--   [--out DIR: runs/eval/MODEL] [--again: does not go on with what is there]
-- Tables in DIR say what they are of. What was stopped goes on when it is called again. Explained in: aviary help evaluation.md
local rwkv = require "rwkv"
local command = require "rwkv.command"
local eval = require "rwkv.eval"

local function command_line()
  local words = { "aviary eval" }
  for i, word in ipairs(arg) do words[i + 1] = word:find "^[%w_./:=,+-]+$" and word or "'" .. word:gsub("'", "'\\''") .. "'" end
  return table.concat(words, " ")
end

local tools = { find = require("rwkv.text.vocab").find, plot = rwkv.plot, command = command_line() }
command.run("eval", function(arguments)
  print(eval.run(arguments[1], table.move(arguments, 2, #arguments, 1, {}), tools))
end, 1, "; the same command goes on from where it was")

-- The vocabulary of a model.
--   local tokenizer, path = vocab.find(option, model_path, vocab_size)
local core = require "rwkv.core"

local vocab = {}

-- The names under which vocabularies are found, and the sizes of models that they are for. A size that none of them names
-- may be of any.
local families = {
  { kind = "world", sizes = { [65536] = true }, names = { "rwkv_vocab_v20230424.txt" } },
  { kind = "bpe", sizes = { [50277] = true, [50304] = true }, names = { "20B_tokenizer.json", "tokenizer.json" } },
  { kind = "bytes", sizes = { [256] = true }, names = {} },
  { kind = "chars", sizes = {}, names = { "vocab.json" } },
}

local function fail(...) error(string.format(...), 0) end

local function exists(path)
  local file = path and io.open(path)
  if file then file:close() end
  return file ~= nil
end

-- Its names for a model of this size, and whether the size alone says "bytes".
local function names_for(size)
  local names = {}
  for _, family in ipairs(families) do
    if family.sizes[size] then return family.names, family.kind == "bytes" end
    table.move(family.names, 1, #family.names, #names + 1, names)
  end
  return names, false
end

local function open(path, size)
  local ok, tokenizer = pcall(core.tokenizer, path)
  if not ok then error(tokenizer, 0) end
  if size and tokenizer:size() > size then
    fail("%s: a vocabulary of %d ids, the model has %d", path, tokenizer:size(), size)
  end
  return tokenizer, path
end

local function search(directory, names)
  for _, name in ipairs(names) do
    local path = directory:gsub("/*$", "/") .. name
    if exists(path) then return path end
  end
end

-- A tokenizer and its path. option: what --vocab says, a file, a directory or "bytes"; or nil: it is looked for beside the
-- model, then in the directory AVIARY_VOCAB. vocab_size: of the model, which tells the family; nil: any.
function vocab.find(option, model_path, vocab_size)
  if option == "bytes" then return open(option, vocab_size) end
  local names, bytes = names_for(vocab_size)
  local listed = table.concat(names, ", ")
  if option then
    if not exists(option .. "/.") then return open(option, vocab_size) end
    if bytes then fail("--vocab %s: a model of 256 ids needs no file; `--vocab bytes`", option) end
    local path = search(option, names) or fail("--vocab %s: the directory has none of: %s", option, listed)
    return open(path, vocab_size)
  end
  if bytes then return open("bytes", vocab_size) end
  local beside = model_path and (exists(model_path .. "/.") and model_path or model_path:match "^(.*)/[^/]*$" or ".")
  local named = os.getenv "AVIARY_VOCAB"
  local path = beside and search(beside, names)
  if not path and named then
    if not exists(named) then fail("the environment variable AVIARY_VOCAB is %s, which is not there", named) end
    path = exists(named .. "/.") and search(named, names) or not exists(named .. "/.") and named
  end
  if path then return open(path, vocab_size) end
  fail("no vocabulary%s: give --vocab FILE (or bytes), or lay one of %s beside the model%s, or into the directory of the "
    .. "environment variable AVIARY_VOCAB (%s)", vocab_size and (" for a model of %d ids"):format(vocab_size) or "", listed,
    beside and (" (%s)"):format(beside) or "", named or "it is not set")
end

return vocab

-- table.write(path, columns, rows, note): a TSV file of rows, whose first lines say by which command, commit, kernels and
-- precision it was made, and what it holds.
local rwkv = require "rwkv"
local tsv = require "rwkv.tsv"

local function command()
  local words, first = {}, 0
  while arg and arg[first - 1] do first = first - 1 end
  for i = first, arg and #arg or -1 do
    words[#words + 1] = arg[i]:match "^[%w%-%./_=:,+]+$" and arg[i] or "'" .. arg[i] .. "'"
  end
  return table.concat(words, " ")
end

local function write(path, columns, rows, note)
  tsv.write(path, columns, rows, { ("%s (commit %s, %s kernels, %s)"):format(command(), rwkv.commit, rwkv.backend(),
    rwkv.precision), note })
end

return { write = write }

-- A tokenizer in Lua: an id is a byte. `merges` are more ids, of several bytes each, from 256 on; the longest is taken.
return function(merges)
  merges = merges or {}
  local t = {}
  function t.kind() return "bytes" end
  function t.size() return 256 + #merges end
  function t.bytes(_, id) return id < 256 and string.char(id) or merges[id - 255] end
  function t.encode(_, text)
    local ids, at = {}, 1
    while at <= #text do
      local id, length = text:byte(at), 1
      for i, m in ipairs(merges) do
        if #m > length and text:sub(at, at + #m - 1) == m then id, length = 255 + i, #m end
      end
      ids[#ids + 1] = id
      at = at + length
    end
    return ids
  end
  function t.decode(_, ids)
    local parts = {}
    for i, id in ipairs(ids) do parts[i] = t:bytes(id) end
    return table.concat(parts)
  end
  return t
end

-- head_comment(name) -> the comment with which a command, by its name, or a script, by its path, begins: what it says of itself.
-- nil if there is none.
return function(name)
  local command = not name:find "[./]" and package.searchpath("commands." .. name, package.path)
  local path = command or package.searchpath((name:gsub("%.lua$", "")), "./?.lua;" .. package.path, "") or name
  local file, lines = io.open(path), {}
  if not file then return nil end
  for line in file:lines() do
    if not line:find "^%-%-" then break end
    lines[#lines + 1] = line:gsub("^%-%- ?", "")
  end
  file:close()
  return lines[1] and table.concat(lines, "\n") .. "\n"
end

-- contents(path) -> the bytes of a file, or nil and why where it cannot be read
return function(path)
  local file, problem = io.open(path, "rb")
  if not file then return nil, problem end
  local text = file:read "a"
  file:close()
  return text, not text and path .. ": cannot be read" or nil
end

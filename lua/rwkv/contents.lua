-- contents(path) -> the bytes of a file, or nil where it cannot be read
return function(path)
  local file = io.open(path, "rb")
  local text = file and file:read "a"
  if file then file:close() end
  return text
end

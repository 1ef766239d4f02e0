-- quoted(text) -> a word for the shell that stands for this text
return function(text)
  return text:match "^[%w%._/=:,+-]+$" and text or "'" .. text:gsub("'", "'\\''") .. "'"
end

-- at_caller(f) -> f, whose errors name the line that called it. For messages about arguments, raised without a place. What is
-- wrong with the command line is no line's fault: { mistake = message } is raised as it is, as text.
return function(f)
  return function(...)
    local results = table.pack(pcall(f, ...))
    if results[1] then return table.unpack(results, 2, results.n) end
    local message = results[2]
    if type(message) == "table" and rawget(message, "mistake") then error(message.mistake, 0) end
    error(message, type(message) == "string" and not message:match "^[^\n ]+:%d+: " and 2 or 0)
  end
end

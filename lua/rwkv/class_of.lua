-- class_of(value) -> "rwkv.model" of what is the core's, otherwise its type.
return function(value) return type(value) == "userdata" and tostring(getmetatable(value)) or type(value) end

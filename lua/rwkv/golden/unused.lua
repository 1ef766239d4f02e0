-- Whether a parameter is without effect by design: the value residual's of RWKV-7's first layer, which has no values before its own.
-- Official code has it; many files leave it out.
return function(version, name) return version == "v7" and name:find "^blocks%.0%.att%.v[012]$" ~= nil end

-- What `make lint` asks of Lua, where luacheck is installed: no variable that is never read, none that hides another, no
-- argument without a use that is not called _, no global that is not there.
std = "lua54"
max_line_length = false
ignore = {
  "581", -- not (x <= y) is not x > y: nan
}

-- The library's world has these no more (lua/program/library.c; tests/lint.sh looks at the rest). known.lua must see all of it.
files["lua"].not_globals = { "_G", "dofile", "load", "loadfile" }
files["lua/rwkv/experiment/known.lua"].globals = { "_G" }

-- Scripts make globals and replace functions of Lua only to see what comes of it.
files["tests/lua/test_keys.lua"].globals = { "Held", "One", "Two", "Unrelated", "arg", "string" }
files["tests/lua/lib/keyed.lua"].globals = { "Inherited", "X", "Y", "math", "string" }
files["tests/lua/lib/attacks.lua"].globals = { "string" }

-- The project's own experiments: their keys cover everything, and are the same in every process.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local test, shell = check.test, check.shell

local home = "runs/tests/listed"
shell("rm -rf " .. home)
rwkv.mkdir(home)

local text = home .. "/text.txt" -- for those that learn one
local words = {}
for i = 1, 60000 do words[i] = ("%x"):format(i * 2654435761 % 65536) end
rwkv.write_file(text, table.concat(words, " "))

local options = {}
for _, name in ipairs { "ddlerp", "first_token", "init_ablation", "longctx_loss", "longctx_rise", "loss_by_version", "port_gap",
  "position_curves", "small_init", "v7_ablation", "v7_history" } do
  options[name] = "--text " .. text
end
for _, name in ipairs { "decay_spectrum", "parameter_stats", "state_norm" } do
  options[name] = ("--text %s --trained %s/trained"):format(text, home)
end

for path in shell("grep -lE 'experiment\\.run|small\\.train|arms\\.run' experiments/*.lua"):gmatch "[^\n]+" do
  test(path .. ": keys cover everything, and are the same in every process", function()
    local name = path:match "([^/]+)%.lua$"
    local command = ("%s --trust %s --scale quick --list --out %s/%s %s"):format(check.program, path, home, name, options[name] or "")
    local list, status = shell(command)
    if status ~= 0 or list:find("cannot cover", 1, true) or not list:find("--run ", 1, true) then error(list) end
    local again = shell(command)
    if again ~= list then error(("the second list is another:\n%s\n%s"):format(list, again)) end
  end)
end

shell("rm -rf " .. home)

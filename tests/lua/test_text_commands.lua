-- aviary generate, chat and embed: what they print where, files of prompts and states, Ctrl-C, what is wrong with a call.
local rwkv = require "rwkv"
local check = require "tests.lua.lib.check"
local test, equal, shell, program = check.test, check.equal, check.shell, check.program

local directory = os.tmpname()
os.remove(directory)
rwkv.mkdir(directory)
local function path(name) return directory .. "/" .. name end

-- Random bytes: a model that knows nothing.
local function write_model(name, version, q)
  local design = { version = version, layers = 2, dim = 32, vocab = 256, head_size = 8, init = "uniform", seed = 1 }
  for key, value in pairs(q or {}) do design[key] = value end
  local model, rng = rwkv.model(design), rwkv.rng(5)
  for _, t in model:parameters() do
    t:set(rwkv.no_grad(function() return t + rng:tensor("normal", t:shape()) * 0.1 end))
  end
  model:save(path(name))
  return model
end
local model = write_model("v7.safetensors", "v7")
write_model("v6.safetensors", "v6")
local v7 = path "v7.safetensors"

-- The standard output and the status; the error output stands in a file.
local function run(command, words)
  local out, status = shell(("%s %s %s 2>%s"):format(program, command, words, path "errors"))
  return out, status, rwkv.read_file(path "errors")
end

local function fails(command, words, ...)
  local out, status, errors = run(command, words)
  equal(status, 1)
  equal(out, "")
  for _, part in ipairs { ... } do
    assert(errors:find(part, 1, true), ("'%s' is not in '%s'"):format(part, errors))
  end
  assert(not errors:find "traceback", errors)
end

test("options that may be given several times are lists", function()
  local o = rwkv.options({ "--stop", "a", "x", "--stop", "--b" }, { stop = {}, other = {} })
  equal(o.stop, { "a", "--b" })
  equal({ #o.other, o[1] }, { 0, "x" })
end)

test("generate writes what model:generate does, bytes as they are, and says rates elsewhere", function()
  local bytes = require "tests.lua.lib.bytes_tokenizer" ()
  local want = model:generate("abc", { tokenizer = bytes, max_tokens = 40, seed = 3 })
  local out, status, errors = run("generate", v7 .. " --vocab bytes --prompt abc --max-tokens 40 --seed 3")
  equal(status, 0)
  equal(out, want)
  assert(errors:find "read 3 tokens" and errors:find "wrote 40 tokens, [%d.e+]+ a second", errors)
  rwkv.write_file(path "prompt", "abc")
  equal((run("generate", v7 .. " --vocab bytes --prompt-file " .. path "prompt" .. " --max-tokens 40 --seed 3")), want)
  local stop = want:sub(11, 12)
  equal((run("generate", ("%s --vocab bytes --prompt abc --max-tokens 40 --seed 3 --stop nowhere --stop \"$(printf '%s')\""):format(v7,
    stop:gsub(".", function(c) return ("\\%03o"):format(c:byte()) end)))), want:sub(1, want:find(stop, 1, true) - 1))
end)

test("a text in several calls is the text of one", function()
  local common = v7 .. " --vocab bytes --seed 7 --temperature 0.9"
  local whole = run("generate", common .. " --prompt abc --max-tokens 60")
  local state = path "state.safetensors"
  local parts = ""
  for i, n in ipairs { 13, 1, 46 } do
    local out, status = run("generate", ("%s --state %s --max-tokens %d %s"):format(common, state, n, i == 1 and "--prompt abc" or ""))
    equal(status, 0)
    parts = parts .. out
  end
  equal(parts, whole)
  fails("generate", ("%s --vocab bytes --state %s"):format(path "v6.safetensors", state), state, "version is v7")
  fails("generate", ("%s --vocab bytes --state %s --start %s"):format(v7, state, state), "--start")
  local again = run("generate", ("%s --start %s --prompt x --max-tokens 5"):format(common, state))
  equal(#again, 5)
end)

test("a tuned state is begun with, and never overwritten", function()
  local list = {}
  for layer = 0, 1 do
    list[layer + 1] = { name = ("blocks.%d.att.time_state"):format(layer), value = rwkv.rng(layer):tensor("normal", 4, 8, 8) }
  end
  local tuned = path "tuned.safetensors"
  rwkv.save_tensors(tuned, list)
  local common = v7 .. " --vocab bytes --prompt abc --max-tokens 20 "
  assert(run("generate", common .. "--start " .. tuned) ~= run("generate", common))
  fails("generate", common .. "--state " .. tuned, "tuned state", "--start")
end)

test("prompts from a file: JSON lines in their order, the first as it would be alone", function()
  rwkv.write_file(path "prompts", "abc\nlonger prompt\r\n\nx\n")
  rwkv.write_file(path "prompts.jsonl", '{"prompt": "abc"}\n{"prompt": "longer prompt"}\n\n{"prompt": "x"}\n')
  local common = v7 .. " --vocab bytes --max-tokens 10 --seed 2 "
  local json = require "rwkv.json"
  local out = run("generate", common .. "--batch 2 --prompts " .. path "prompts")
  equal((run("generate", common .. "--prompts " .. path "prompts.jsonl")), out)
  local lines = json.lines(out, "out")
  equal(#lines, 3)
  local alone = run("generate", common .. "--prompt abc")
  for i, prompt in ipairs { "abc", "longer prompt", "x" } do
    local value = lines[i].value
    equal({ value.prompt, #value.ids, value.ended }, { prompt, 10, "max_tokens" })
  end
  local parts = {}
  for i, id in ipairs(lines[1].value.ids) do parts[i] = string.char(id) end
  equal(table.concat(parts), alone)
  rwkv.write_file(path "bad.jsonl", '{"prompt": "abc"}\n{"text": "x"}\n')
  fails("generate", common .. "--prompts " .. path "bad.jsonl", "bad.jsonl: line 2", "prompt")
  rwkv.write_file(path "empty", "\n")
  fails("generate", common .. "--prompts " .. path "empty", "no prompt")
end)

test("Ctrl-C: what was written is there, the state is saved, and the text goes on", function()
  local common, state = v7 .. " --vocab bytes --seed 1", path "cut.safetensors"
  local out = shell(([[python3 -c '
import subprocess, time, signal, sys
p = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, stderr=open("%s", "w"))
time.sleep(1.5)
p.send_signal(signal.SIGINT)
sys.stdout.buffer.write(p.communicate()[0])
assert p.returncode == 130, p.returncode' %s generate %s --state %s --prompt abc --max-tokens 100000000]]):format(path "errors",
    program, common, state))
  local errors = rwkv.read_file(path "errors")
  assert(errors:find "interrupted; read 3 tokens", errors)
  assert(#out > 0)
  local more = run("generate", ("%s --state %s --max-tokens 20"):format(common, state))
  equal((run("generate", ("%s --prompt abc --max-tokens %d"):format(common, #out + #more))), out .. more)
end)

-- At a terminal: what a program prints there, typed at with the steps.
local function at_terminal(words, ...)
  rwkv.write_file(path "run.sh", ("#!/bin/sh\nexec %s %s\n"):format(program:find "^/" and program or "./" .. program:gsub("^%./", ""), words))
  shell("chmod +x " .. path "run.sh")
  local steps = {}
  for i, s in ipairs { ... } do steps[i] = "'" .. s:gsub("'", "'\\''") .. "'" end
  return shell("python3 tests/lua/lib/terminal.py " .. path "run.sh" .. " " .. table.concat(steps, " "))
end

test("a terminal is shown whole characters, and nothing that acts on it", function()
  local out, status = at_terminal("generate " .. v7 .. " --vocab bytes --prompt abc --max-tokens 300 --temperature 2 --top-p 1")
  equal(status, 0)
  out = out:gsub("\r\n", "\n"):gsub("\r?\27%[K", "")
  assert(utf8.len(out), "no UTF-8")
  assert(not out:find "[\0-\8\11-\31\127]", "control characters")
  assert(out:find "\\x%x%x" and out:find "wrote 300 tokens", out)
end)

test("chat answers line by line from a pipe", function()
  local function chat(lines, options)
    rwkv.write_file(path "lines", lines)
    return run("chat", ("%s --vocab bytes --max-tokens 12 %s <%s"):format(v7, options or "", path "lines"))
  end
  local out, status = chat "hello\nagain\n"
  equal({ select(2, out:gsub("\n", "")), status }, { 2, 0 })
  local first, second = out:match "^([^\n]*)\n([^\n]*)\n$"
  local saved = path "chat.safetensors"
  equal((chat(("hello\n/save %s\n"):format(saved))), first .. "\n")
  local seen = #"User: hello\n\nAssistant:" + 12
  equal(model:load_state(saved):seen(), seen)
  out = chat("hello\n/reset\nhello\n\n/regenerate\n/quit\nnever\n", "--temperature 0")
  equal(out, (first and chat("hello\n", "--temperature 0")):rep(3))
  chat(("hello\n/save %s\n"):format(saved), "--temperature 0")
  out = chat(("/load %s\nagain\n"):format(saved), "--temperature 0")
  equal(out, (chat("hello\nagain\n", "--temperature 0"):match "\n(.*)$"))
  assert(second)
end)

test("what is wrong in a conversation is said, and it goes on", function()
  rwkv.write_file(path "lines", "/nope\n/save\n/load /nowhere\n/regenerate\nhello\n")
  local out, status, errors = run("chat", ("%s --vocab bytes --max-tokens 5 <%s"):format(v7, path "lines"))
  equal({ select(2, out:gsub("\n", "")) > 0 and 1 or 0, status }, { 1, 1 })
  for _, part in ipairs { "no /nope", "/save: which file", "/nowhere", "no reply yet" } do assert(errors:find(part, 1, true), errors) end
end)

test("chat at a terminal", function()
  local out, status = at_terminal("chat " .. v7 .. " --vocab bytes --max-tokens 20", "User: ", "hi\\r", "User: ", "/regenerate\\r", "User: ", "\\x04")
  equal(status, 0)
  assert(select(2, out:gsub("Assistant:", "")) == 2, out)
  assert(not out:gsub("\r\n", "\n"):gsub("\r?\27%[K", ""):find "[\0-\3\5-\8\11-\31]", out)
end)

test("chat: texts hold no empty lines", function()
  local chat = require "rwkv.text.chat"
  local c = chat(model, { tokenizer = require "tests.lua.lib.bytes_tokenizer" (), max_tokens = 3 })
  equal(c.turn " a\r\n\r\n\nb\rc \n", "a\nb\nc")
  fails("chat", v7 .. " --vocab bytes --top-p 3 </dev/null", "top_p")
  equal(pcall(c.ask, c, " \n ") and 1 or 0, 0)
end)

test("embed: a line of numbers for each line", function()
  rwkv.write_file(path "lines", "some words\nothers\r\n")
  local words = v7 .. " --vocab bytes <" .. path "lines"
  local out = run("embed", words)
  local want = model:embed({ "some words", "others" }, { tokenizer = require "tests.lua.lib.bytes_tokenizer" () }):tolist()
  local i = 0
  for line in out:gmatch "[^\n]+" do
    local row = {}
    for x in line:gmatch "[^\t]+" do row[#row + 1] = tonumber(x) end
    i = i + 1
    equal(row, want[i], 1e-5)
  end
  equal(i, 2)
  run("embed", words .. " --out " .. path "e.safetensors")
  equal(rwkv.load_tensors(path "e.safetensors").embedding.value:tolist(), want, 1e-5)
  run("embed", words .. " --out " .. path "e.tsv")
  equal(rwkv.read_file(path "e.tsv"), out)
  rwkv.write_file(path "lines", "some words\n\n")
  local _, status, errors = run("embed", words)
  equal(status, 1)
  assert(errors:find "line 2: it is empty", errors)
  fails("embed", v7 .. " --vocab bytes --from x <" .. path "lines", "from: expected 'hidden' or 'state', found 'x'")
  fails("embed", v7 .. " --vocab bytes </dev/null", "no line")
end)

test("what is wrong with a call is said in a line", function()
  local common = v7 .. " --vocab bytes "
  fails("generate", "", "usage: aviary generate")
  fails("generate", common, "no prompt")
  fails("generate", common .. "--prompt ''", "no prompt")
  fails("generate", common .. "--prompt a --prompts b", "one of --prompt")
  fails("generate", common .. "--prompts b --state c", "--state is for one prompt")
  fails("generate", common .. "--prompt a --top-p 1.5", "top_p: expected a number from 0 to 1, found 1.5")
  fails("generate", common .. "--prompt a --temperature nan", "option --temperature", "'nan'")
  fails("generate", common .. "--prompt a --seed -1", "seed")
  fails("generate", common .. "--prompt a --max-tokens 0", "max_tokens")
  fails("generate", common .. "--prompt a --batch 0", "--batch")
  fails("generate", common .. "--prompt a --dtype f8", "--dtype", "f8")
  fails("generate", common .. "--prompt a --head-size 1.5", "--head-size", "1.5")
  fails("generate", common .. "--prompt a --head-size 16", "v7.safetensors", "16")
  fails("generate", common .. "--prompt a --stop ''", "empty")
  fails("generate", common .. "--prompt a --top", "unknown option --top", "--top-p")
  fails("generate", "/nowhere --prompt a", "/nowhere")
  fails("generate", common .. "--prompt-file /nowhere", "/nowhere")
  fails("chat", "", "usage: aviary chat")
  fails("chat", common .. "--start /nowhere </dev/null", "/nowhere")
  fails("embed", "", "usage: aviary embed")
  equal(#run("generate", common .. "--prompt a --max-tokens 5 --dtype bf16"), 5)
end)

shell("rm -r " .. directory)

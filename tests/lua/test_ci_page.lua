-- The page lua/pages/ci.md is true: its programs write what `golden diff` takes, its workflow is the file's, and its steps run.
local rwkv = require "rwkv"
if rwkv.precision ~= "float64" then return end -- as test_golden.lua
local json = require "rwkv.json"
local check = require "tests.lua.lib.check"
local test, equal, shell = check.test, check.equal, check.shell

local page = rwkv.read_file "lua/pages/ci.md"
local function code(language) return page:match("\n```" .. language .. "\n(.-)\n```") end
local function there(program) return shell("command -v " .. program) ~= "" end
local function skip(what, missing) print(("SKIPPED: %s: there is no %s"):format(what, missing)) end

local program = check.program
if program:sub(1, 1) ~= "/" then program = shell "pwd":gsub("\n", "") .. "/" .. program end
local dir = os.tmpname()
os.remove(dir)
rwkv.mkdir(dir)
local function within(command, status)
  local out, found = shell(("cd %s && %s"):format(dir, command))
  assert(found == status, ("status %s, expected %d\n%s"):format(found, status, out))
  return out
end

-- An archive like that of `make dist`, in which the program is a link to this one.
local archive = dir .. "/aviary.tar.gz"
rwkv.mkdir(dir .. "/aviary-0-x86_64-linux/bin")
rwkv.mkdir(dir .. "/aviary-0-x86_64-linux/golden")
within(("ln -s %s aviary-0-x86_64-linux/bin/aviary"):format(program), 0)
for _, version in ipairs { "v4", "v6", "v7" } do
  within(("%s golden make %s --layers 2 --no-sensitivity --no-gradients aviary-0-x86_64-linux/golden/%s.safetensors")
    :format(program, version, version), 0)
end
within("tar -czf aviary.tar.gz aviary-0-x86_64-linux", 0)
local pack = "aviary-0-x86_64-linux/golden/v7.safetensors"

-- Ports that know the answer, as float32; with WRONG in the environment a wrong one.
local mine = {
  python = [[
import os
def forward(pack, tokens):
    logits = pack["logits"].copy() if hasattr(pack["logits"], "copy") else pack["logits"][:]
    if "WRONG" in os.environ: logits[-1] += 1
    return logits]],
  c = [=[
#include <stdint.h>
#include <stdlib.h>
void forward(void *(*find)(const char *, size_t *), const int64_t *tokens, float *logits) {
  size_t bytes;
  double *known = find("logits", &bytes);
  for (size_t i = 0; i < bytes / sizeof *known; i++) logits[i] = (float)known[i];
  if (getenv("WRONG")) logits[tokens[0]] += 1;
}]=],
  rust = [[
pub fn forward(pack: &dyn Fn(&str) -> Vec<u8>, tokens: &[i64]) -> Vec<f32> {
    let mut logits: Vec<f32> = pack("logits").chunks(8).map(|x| f64::from_le_bytes(x.try_into().unwrap()) as f32).collect();
    if std::env::var("WRONG").is_ok() { logits[tokens[0] as usize] += 1.0 }
    logits
}]],
  js = [[
exports.forward = (tensor, tokens) => {
  const logits = tensor("logits")
  if (process.env.WRONG) logits[Number(tokens[0])] += 1
  return logits
}]],
}

-- fence of the block, language of the port, program that must be there, the two files, how they are made and run
for _, case in ipairs {
  { "python packages", "python", "python3", "packages.py", "mine.py", "python3 -c 'import numpy, safetensors'", "python3 packages.py" },
  { "python", "python", "python3", "golden.py", "mine.py", "true", "python3 golden.py" },
  { "c", "c", "cc", "golden.c", "mine.c", "cc -w -o port_c golden.c mine.c", "./port_c" },
  { "rust", "rust", "rustc", "golden.rs", "mine.rs", "rustc --edition 2021 -o port_rs golden.rs", "./port_rs" },
  { "js", "js", "node", "golden.js", "mine.js", "true", "node golden.js" },
} do
  local fence, language, needs, name, own, build, command = table.unpack(case)
  if not there(needs) then
    skip("the program in " .. fence, needs)
  elseif fence == "python packages" and select(2, shell(build)) ~= 0 then
    skip("the program in Python with packages", "numpy or safetensors")
  else
    test("the page's program in " .. fence .. " writes what is compared", function()
      rwkv.write_file(dir .. "/" .. name, code(fence) .. "\n")
      rwkv.write_file(dir .. "/" .. own, mine[language] .. "\n")
      within(build .. " 2>&1", 0)
      local diff = program .. " golden diff " .. pack .. " out.safetensors --profile f32 --junit golden.xml"
      within(("%s %s out.safetensors"):format(command, pack), 0)
      assert(within(diff, 0):find("1 tensors compared", 1, true))
      assert(rwkv.read_file(dir .. "/golden.xml"):find('tests="1" failures="0"', 1, true))
      within(("WRONG=1 %s %s out.safetensors"):format(command, pack), 0)
      within(diff .. " --no-causes", 1)
      assert(rwkv.read_file(dir .. "/golden.xml"):find('tests="1" failures="1"', 1, true))
    end)
  end
end

local fetched = there "curl" and there "python3"
if fetched then
  test("the ten lines pass a right port and fail a wrong one", function()
    local lines = code "sh"
    assert(select(2, lines:gsub("[^\n]+", "")) <= 10, lines)
    rwkv.write_file(dir .. "/ci.sh", lines .. "\n")
    local set = ("mkdir -p clean && cd clean && AVIARY=file://%s PORT='python3 %s/golden.py'"):format(archive, dir)
    within(set .. " sh ../ci.sh", 0)
    assert(rwkv.read_file(dir .. "/clean/aviary-0-x86_64-linux/v4.xml"):find("failures=\"0\"", 1, true))
    local out = within(set .. " WRONG=1 sh ../ci.sh", 1)
    equal(select(2, out:gsub("1 of 1 are off", "")), 2)
  end)
else
  skip("the ten lines", "curl or no python3")
end

test("the workflow on the page is the file", function()
  equal(code "yaml" .. "\n", rwkv.read_file "lua/dist/golden.workflow.yml")
end)

local workflow, status = shell [[python3 -c '
import json, yaml
print(json.dumps(yaml.safe_load(open("lua/dist/golden.workflow.yml"))))']]
if fetched and status == 0 then
  test("the steps of the workflow run", function()
    local job = json.decode(workflow).jobs.golden
    for i, version in ipairs(job.strategy.matrix.version) do
      rwkv.mkdir(("%s/checkout%d"):format(dir, i))
      within(("cp golden.py mine.py checkout%d"):format(i), 0)
      for _, step in ipairs(job.steps) do
        local run = step.run and step.run:gsub("%${{ matrix%.version }}", version)
        if run then within(("cd checkout%d && AVIARY=file://%s bash -e -c '%s'"):format(i, archive, run), 0) end
      end
      local out = rwkv.read_file(("%s/checkout%d/%s"):format(dir, i, job.steps[#job.steps].with.path))
      assert(out:find(('name="golden %s" tests="1" failures="0"'):format(version), 1, true), out)
    end
  end)
else
  skip("the steps of the workflow", "curl, or no python3 with yaml")
end
os.execute("rm -r " .. dir)

-- JSON that is read: what it becomes, and what is wrong with what is none.
local json = require "rwkv.json"
local check = require "tests.lua.lib.check"
local test, equal, fails = check.test, check.equal, check.fails

test("values", function()
  for text, want in pairs { ["0"] = 0, ["-12"] = -12, ["1.5e2"] = 150, ["2E-1"] = 0.2, ["true"] = true, [" false\r\n"] = false,
    ['""'] = "", ['"a\\n\\t\\"\\\\\\/\\b\\f\\r"'] = 'a\n\t"\\/\b\f\r', ['"\\u00e9\\uD83D\\ude00"'] = "é😀", ['"é"'] = "é",
    ['"\\ud83d x"'] = "\u{fffd} x", ['"\\udc00"'] = "\u{fffd}" } do
    equal(json.decode(text), want)
  end
  equal(json.decode "null", json.null)
  equal(json.decode ' [ 1 , [ ] , {} , "x" ] ', { 1, {}, {}, "x" })
  local object = json.decode '{"a": {"b": [1, 2]}, "c" : null, "a b": true}'
  equal(object.a.b, { 1, 2 })
  equal(object.c, json.null)
  equal(object["a b"], true)
end)

test("what is no JSON", function()
  for text, want in pairs { [""] = "byte 1: expected a value, found the end", ["nul"] = "a value", ["[1,]"] = "byte 4: expected a value",
    ["[1 2]"] = "',' or ']', found '2'", ['{"a" 1}'] = "':', found '1'", ["{a:1}"] = "a name in quotes", ['"abc'] = "the end of a text",
    ['"a\nb"'] = "byte 3", ['"\\x"'] = "an escape", ['"\\u12g4"'] = "four hexadecimal digits", ["01"] = "no digit after a first 0",
    ["1 1"] = "expected the end, found '1'", ['"\xff"'] = "byte 2: expected UTF-8, found \\xff", ["é"] = "found 'é'", ["+1"] = "a value",
    ["[" .. ("["):rep(200)] = "at most 100 values inside each other" } do
    fails(function() json.decode(text) end, want)
  end
end)

test("lines", function()
  local list = json.lines('{"a": 1}\r\n\n  \n{"a": 2}', "x")
  equal(#list, 2)
  equal({ list[1].line, list[1].value.a, list[2].line, list[2].value.a }, { 1, 1, 4, 2 })
  fails(function() json.lines('{}\n{', "x.jsonl") end, "x.jsonl: line 2: byte 2: expected a name in quotes")
  fails(function() json.lines("[1]", "x.jsonl") end, "x.jsonl: line 1: expected an object")
  fails(function() json.lines("null", "x.jsonl") end, "line 1: expected an object")
end)

-- A few random programs and damaged files that are the same every time; `make fuzz` runs more.
local check = require "tests.lua.lib.check"

check.test("random programs and damaged files", function()
  local directory = os.tmpname()
  os.remove(directory)
  local out, status = check.shell(([[home=$PWD; case %s in /*) P=%s;; *) P=$home/%s;; esac
    mkdir %s && cd %s && $P --trust $home/tests/fuzz.lua >methods &&
    $P --output . --max-memory 48M --max-seconds 300 $home/tests/fuzz.lua 1 1 30 &&
    $P --output . --max-memory 256M --max-seconds 300 $home/tests/fuzz.lua 1 31 60 &&
    $P --output . --max-memory 512M --max-seconds 300 $home/tests/fuzz_files.lua 1 1 600]])
    :format(check.program, check.program, check.program, directory, directory))
  check.shell("rm -r " .. directory)
  assert(status == 0 and out:find "done\n$", out)
end)

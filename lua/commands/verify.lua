-- aviary verify WEIGHTS GOLDEN [--tol 1e-10] [--single] [--head-size N]
-- Compares a model with golden numbers, in float64 (--single: in float32), by the reference, or on the device of
-- --backend cuda. Exit status 0 only if everything in the golden file was compared and is within the tolerance.
local rwkv = require "rwkv"
local command = require "rwkv.command"
local file = require "rwkv.file"
local visible = require "rwkv.visible"

command.run("verify", function(arguments)
  local o = rwkv.options(arguments, { tol = 1e-10, single = false, head_size = 0 })
  if #o ~= 2 then error("usage: aviary verify WEIGHTS GOLDEN [--tol 1e-10] [--single] [--head-size N]", 0) end
  if not o.single then rwkv.need_double() end
  if rwkv.matmul() ~= "full" and not rwkv.device() then
    error(("golden numbers are of products in full; leave --matmul %s out"):format(rwkv.matmul()), 0)
  end
  if not rwkv.device() then rwkv.backend "reference" end
  local model = file.model(o[1], { head_size = file.head_size(o.head_size) })
  local lines = file.verify(model, o[2], o.tol)
  print(("%s in %s%s, tolerance %g relative to a number or to its tensor's largest (at most 1)"):format(model,
    rwkv.precision, rwkv.device() and ", on " .. rwkv.device() or "", o.tol))
  print(("%-20s %7s  %-9s %-9s  %s"):format("kind", "tensors", "absolute", "relative", "worst at"))

  local good, worst = #lines > 0, nil
  for _, l in ipairs(lines) do
    good = good and l.ok
    if l.problem ~= "" then
      print(("%-20s  FAILED: %s"):format(l.kind, visible.line(l.problem)))
    else
      print(("%-20s %7d  %-9.2e %-9.2e  %s[%d]%s%s"):format(l.kind, l.tensors, l.worst_abs, l.worst_rel, visible.line(l.at), l.index,
        l.note ~= "" and "  (" .. visible.line(l.note) .. ")" or "",
        l.ok and "" or ("  FAILED: found %.17g, expected %.17g"):format(l.found, l.expected)))
      -- a kind with a tolerance of its own is judged by it, and counts for the last line only if it fails
      local counts = l.tol == o.tol or not l.ok
      if counts and (not worst or l.worst > worst.worst) then worst = l end
    end
  end
  print(good and "every number of the file was compared: all within tolerance" or "NOT all within tolerance")
  print(worst and ("worst=%.3g at %s[%d]"):format(worst.worst, visible.line(worst.at), worst.index) or "worst=nan at nothing[0]")
  return good and 0 or 1
end)

-- distance(a, b) -> how far two numbers are apart, relative to the larger one; 0 for equal ones, nan and nan among them, and
-- infinitely far where one is no number. distance(a, b, unit): in this unit instead.
return function(a, b, unit)
  if a == b or a ~= a and b ~= b then return 0 end
  if type(a) ~= "number" or type(b) ~= "number" then return math.huge end
  local far = math.abs(a - b) / (unit or math.max(math.abs(a), math.abs(b)))
  return far == far and far or math.huge
end

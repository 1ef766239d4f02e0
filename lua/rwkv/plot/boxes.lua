-- Bars and histograms as boxes { low, high, height } along the x axis; both are drawn the same way.
local ceil, exp, floor, huge, log, max, min = math.ceil, math.exp, math.floor, math.huge, math.log, math.max, math.min
local sort = table.sort

local boxes = {}

-- The values of all series counted in the same bins, which are equally wide on the axis as it is drawn.
function boxes.of_histogram(figure)
  local to_axis = figure.logx and log or function(x) return x end
  local from_axis = figure.logx and exp or to_axis
  local low, high, most = huge, -huge, 0
  for i = 1, #figure.series do
    local y = figure.series[i].y
    for k = 1, #y do
      if y[k] == y[k] then low, high = min(low, y[k]), max(high, y[k]) end
    end
    most = max(most, #y)
  end
  low, high = to_axis(figure.xrange.low or low), to_axis(figure.xrange.high or high)
  if high <= low then low, high = low - 0.5, low + 0.5 end
  local bins = min(60, max(8, ceil(2 * most ^ (1 / 3)))) -- Rice's rule
  local width = (high - low) / bins

  for i = 1, #figure.series do
    local s, count = figure.series[i], {}
    for b = 1, bins do count[b] = 0 end
    for k = 1, #s.y do
      local x = s.y[k] == s.y[k] and to_axis(s.y[k])
      if x and x >= low and x <= high then
        local b = min(bins, floor((x - low) / width) + 1)
        count[b] = count[b] + 1
      end
    end
    s.boxes = {}
    for b = 1, bins do
      s.boxes[b] = { from_axis(low + (b - 1) * width), from_axis(low + b * width), count[b] }
    end
  end
end

-- The bars of several series stand side by side around their x.
function boxes.of_bars(figure)
  local all, gap, n = {}, huge, #figure.series
  for i = 1, n do
    for k = 1, #figure.series[i].x do
      local s = figure.series[i]
      if s.y[k] == s.y[k] then all[#all + 1] = s.x[k] end
    end
  end
  sort(all)
  for i = 2, #all do
    if all[i] > all[i - 1] then gap = min(gap, all[i] - all[i - 1]) end
  end
  local width = 0.8 * (gap < huge and gap or 1) / n
  for i = 1, n do
    local s = figure.series[i]
    s.boxes = {}
    for k = 1, #s.x do
      local left = s.x[k] + (i - 1 - n / 2) * width
      s.boxes[k] = { left, left + width, s.y[k] }
    end
  end
end

return boxes

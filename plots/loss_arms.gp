# Arms of an ablation, a row each, panels side by side: what experiments/measure/arms.lua writes. Every run is a point, a bar the
# median of an arm; at the right of it its difference to the first arm, seed by seed: the median, the lowest and the highest. The
# script that loads this one says before
#   heading   the title
#   proves    lines of the small print: what the figure proves, what was published
#   limits    for each panel how far its axis goes at most, in parts of the first arm's median; what is beyond stands at the edge
#   table     (may be missing) a table of published losses by label: hollow diamonds, as far from our first arm's median, in
#             parts of it, as they are from theirs; beside: in which panel, 1 if that is not said
# Reads out.figure.tsv, writes out.png, .svg, .pdf.
load ARG0[1:strlen(ARG0) - strlen("loss_arms.gp")]."common.gp"
file = out.".figure.tsv"
eval read("$data")
published = exists("table")
if (!exists("beside")) beside = 1
if (published) file = here."published/".table
eval read("$published") # without a table our own once more, of which nothing is drawn
made = made_by($data[1], $data[2])
eval cells("panels", "$data", "panel")
eval cells("labels", "$data", "label")
n = words(panels)
m = words(labels)

smaller(x, y) = y < x && y > -1e300 ? y : x
finite(x) = x - x == 0 ? x : NaN
of(p) = strcol("panel") eq p
row(cell) = -place(labels, cell)
first(p) = of(p) && strcol("label") eq word(labels, 1)
number(x) = base >= 100 ? (x == 0 ? "0" : sprintf("%+.0f", x)) : abs(x) < 0.0005 ? "0.000" : sprintf("%+.3f", x)
absolute(x) = abs(x) >= 100 ? sprintf("%.0f", x) : sprintf("%.3f", x)
step(x) = (m10 = 10 ** floor(log10(x)), x < 1.5 * m10 ? m10 : x < 3.5 * m10 ? 2 * m10 : x < 7.5 * m10 ? 5 * m10 : 10 * m10)
# What stands at the right of an arm.
cost(p) = column("median") != column("median") ? "diverged" : \
  column("reached") < column("runs") ? sprintf("%.0f of %.0f within %.0f", column("reached"), column("runs"), column("budget")) : \
  first(p) ? absolute(column("median")) : column("runs") == 1 ? number(column("difference")) : \
  sprintf("%s  (%s to %s)", number(column("difference")), number(column("difference_low")), number(column("difference_high")))
arm(p) = of(p) && finite(column("runs")) == column("runs")
theirs = 0 # the published loss of the first arm
if (published) stats $published using (strcol("label") eq word(labels, 1) ? (theirs = column("loss"), 0) : 0) nooutput
there(loss) = published && theirs > 0 ? finite(base * loss / theirs) : NaN
summary(p) = arm(p) && finite(column("median")) == column("median")

gap = 215 # pixels for the numbers beside a panel
wide = n == 1 ? 480 : 300
whole = 390.0 + n * (wide + gap)
tall = 245.0 + 30 * m
do for [format in kinds("png svg pdf")] {
  eval picture(format, whole, tall)
  set output out.".".format
  set multiplot title heading font ",16" offset 0,-0.3
  eval "set label 1 made at screen 0.02,".sprintf("%.4f", 98 / tall)." ".small_print
  eval "set label 2 proves at screen 0.02,".sprintf("%.4f", 40 / tall)." ".small_print
  set tmargin at screen 1 - 72 / tall; set bmargin at screen 165 / tall
  set grid x noy lc rgb "#e4e4e4" lt 1 lw 0.7
  do for [i = 1:n] {
    p = word(panels, i)
    set lmargin at screen (375 + (i - 1) * (wide + gap)) / whole
    set rmargin at screen (375 + (i - 1) * (wide + gap) + wide) / whole
    set autoscale
    base = 0; low = 1e300; high = -1e300; what = ""; version = ""; there_are = ""
    eval largest_where("runs", "runs", 1, "of(p)")
    stats $data using (arm(p) ? (there_are = with(there_are, strcol("label")), 0) : 0) nooutput
    stats $data using (of(p) ? (low = smaller(low, column("value")), \
      high = larger(high, column("value")), what = strcol("measured"), version = strcol("version"), 0) : 0) nooutput
    stats $data using (first(p) && finite(column("median")) == column("median") ? (base = column("median"), 0) : 0) nooutput
    if (published && i == beside) {
      stats $published using (place(labels, strcol("label")) ? (low = smaller(low, there(column("loss"))), \
        high = larger(high, there(column("loss"))), 0) : 0) nooutput
    }
    top = i <= words(limits) ? base * (1 + word(limits, i)) : high
    if (high < low) { low = base; high = base }
    if (high > top && top > low) { high = top }
    if (high <= low) { high = low + 1 }
    set xtics step((high - low) / 3.5)
    right = high + 0.06 * (high - low)
    set xrange [low - 0.06 * (high - low):right]
    set yrange [-m - 0.6:-0.4]
    edge(x) = finite(x > high ? high + 0.04 * (high - low) : x)
    set title drawn(p).", ".seeds(runs) noenhanced offset 0,-0.4
    set label 3 runs > 1 ? "less the first, by seed: median (range)" : "less the first" at graph 1, graph 1 \
      offset 0.5,0.5 font ",8" textcolor rgb "#707070"
    set xlabel drawn(what) noenhanced offset 0,0.3
    set ytics () nomirror scale 0 noenhanced
    if (i > 1) { set format y "" }
    named(k) = i == 1 ? drawn(word(labels, k)) : ""
    set arrow 1 from base, graph 0 to base, graph 1 nohead lc rgb "#b0b0b0" dt 2
    plot for [k = 1:m] "+" using (low - 1e9):(-k):ytic(named(k)) every ::0::0 with dots notitle, \
      for [k = 1:m] "+" using (right):(-k):(place(there_are, word(labels, k)) ? "" : "not tried") every ::0::0 \
        with labels left offset 0.7,0 font ",10" textcolor rgb "#a0a0a0" notitle, \
      $data using (of(p) ? edge(column("value")) : NaN):(row(strcol("label"))):(column("value") > high ? "▸" : "") \
        with labels textcolor rgb colour(version) notitle, \
      $data using (summary(p) && column("median") <= high ? column("median") : NaN):(row(strcol("label")) - 0.33):(0):(0.66) \
        with vectors nohead lw 3 lc rgb "#404040" notitle, \
      $data using (of(p) && column("value") <= high ? finite(column("value")) : NaN):(row(strcol("label"))) \
        with points pt 7 ps 0.9 lc rgb colour(version) notitle, \
      $published using (published && i == beside ? edge(there(column("loss"))) : NaN):(row(strcol("label"))) \
        with points pt 12 ps 1.6 lw 1.4 lc rgb "#9090c0" notitle, \
      $data using (arm(p) ? right : NaN):(row(strcol("label"))):(cost(p)) \
        with labels left offset 0.7,0 font ",10" noenhanced notitle
    unset arrow 1
    unset label
  }
  unset multiplot
}

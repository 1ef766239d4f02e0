# Hybrids: recall against the state of a sequence, and against the position of the question for the widest models.
#   gnuplot -e "out='runs/hybrids/hybrids'" plots/hybrids.gp    reads out.figure.tsv, writes out.png, .svg, .pdf
if (!exists("out")) out = "runs/hybrids/hybrids"
load ARG0[1:strlen(ARG0) - strlen("hybrids.gp")]."common.gp"
file = out.".figure.tsv"
eval read("$data")
eval largest("runs", "runs", 1)
made = made_by($data[1], $data[2]). \
  said("Lines: mean of ".seeds(runs).(runs == 1 ? "" : runs == 2 ? "; left points, right dots: the two, far apart where one did not ". \
  "learn" : "; left points, right dots: lowest and highest").". hybrid-first, -middle, -last: where the one layer of attention is; -nope: in ". \
  "the middle, without positions. Who stays low has not learned within this budget, which says little of what it could recall.")
eval cells("models", "$data", "label")
eval largest("trained", "seq", 1)
eval largest("widest", "dim", 1)
of(v, part) = strcol("label") eq v && strcol("part") eq part && (part eq "state" || column("dim") == widest)
x(v, part, name) = of(v, part) ? column(name) : NaN
aside(i) = 2 ** (0.07 * (i - (words(models) + 1) / 2.0)) # models of one size stand side by side

do for [format in kinds("png svg pdf")] {
  eval picture(format, 1400, 640)
  set output out.".".format
  set multiplot layout 1,2 title "Hybrids of attention and RWKV-7: associative recall" font ",16" offset 0,-0.3 \
    margins 0.055,0.845,0.225,0.86 spacing 0.05
  eval "set label 1 made at screen 0.02,0.085 ".small_print
  set logscale x 2
  set yrange [-0.02:1.05]
  set format y "%.1f"
  set key at screen 0.858,0.86 left top Left reverse samplen 3 spacing 1.3
  set title "As long as in training: against what is kept" offset 0,-0.6
  set format x "%.0f"
  set xlabel "numbers kept of a sequence, all layers (equal ones side by side)" offset 0,0.4
  set ylabel "accuracy on held-out examples"
  plot for [bound in "low high"] for [i = 1:words(models)] v = word(models, i) $data using (x(v, "state", "state_floats") * aside(i)): \
      (column(bound)) with points lc rgb colour(v) pt point(v) ps 1.2 notitle, \
    for [i = 1:words(models)] v = word(models, i) $data using (x(v, "state", "state_floats") * aside(i)):(column("mean")) \
      with lines lw 1.4 lc rgb colour(v) dt dash(v) notitle, \
    for [v in models] NaN with linespoints lw 2 lc rgb colour(v) pt point(v) ps 1.2 dt dash(v) title drawn(v)
  unset label 1
  unset key
  set title sprintf("Farther than in training: against the position (d=%g)", widest) offset 0,-0.6
  set arrow 1 from trained, graph 0 to trained, graph 1 nohead lc rgb "#909090" dt 2
  set label 3 sprintf(" trained at T = %d", trained) at trained, graph 0.03 textcolor rgb "#707070"
  set xlabel "position of the question, tokens" offset 0,0.4
  set ylabel ""
  plot for [bound in "low high"] for [v in models] $data using (x(v, "position", "position")):(column(bound)) \
      with points lc rgb colour(v) pt 7 ps 0.5 notitle, \
    for [v in models] $data using (x(v, "position", "position")):(column("mean")) \
      with linespoints lw 2 lc rgb colour(v) pt point(v) ps 1.1 dt dash(v) notitle
  unset arrow
  unset label 3
  unset multiplot
}

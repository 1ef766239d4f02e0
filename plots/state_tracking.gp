# Word problems: the longest words that models of one and more layers follow, a panel a task; eigenvalues of the trained transitions.
#   gnuplot -e "out='runs/state_tracking/state_tracking'" plots/state_tracking.gp  reads out.figure.tsv, writes out.png, .svg, .pdf
if (!exists("out")) out = "runs/state_tracking/state_tracking"
load ARG0[1:strlen(ARG0) - strlen("state_tracking.gp")]."common.gp"
file = out.".figure.tsv"
eval read("$data")
made = made_by($data[1], $data[2])
eval cells("models", "$data", "label")
eval cells("tasks", "$data", "task")
eval cells_where("inside", "$data", "label", "strcol('measured') eq 'eigenvalue'")
seats = "" # a task and one of its tokens each, of which there are eigenvalues
seat_of(task, step) = task.":".step
stats $data using (strcol("measured") eq "eigenvalue" ? (seats = with(seats, seat_of(strcol("task"), strcol("step"))), 0) : 0) nooutput
eval numbers("depths", "$data", "layers")
eval numbers("seeds", "$data", "seed")
eval largest("longest", "value", 192)
n = words(tasks)
panels = n + (words(seats) > 0)
lines = (panels + 2) / 3

# What is known of a task; another one has its name.
title_of(t) = t eq "S5-swaps" ? "S5, swaps: a token is one reflection" : \
  t eq "A5-three-cycles-filler" ? "A5, three-cycles and fillers: two reflections in two tokens" : \
  t eq "A5-three-cycles" ? "A5, three-cycles: a token is two reflections" : \
  t eq "Z3" ? "modulo 3: a token is a rotation, two reflections" : \
  t eq "Z3-filler" ? "modulo 3 with fillers: two reflections in two tokens" : \
  t eq "A5" ? "A5, all 60 elements (published): a token is two reflections" : drawn(t)
name_of(seat) = seat eq "S5-swaps:1" ? "S5 swap" : seat eq "A5-three-cycles-filler:1" ? "A5 three-cycle" : \
  seat eq "A5-three-cycles-filler:2" ? "its filler" : seat eq "Z3-filler:1" ? "Z3, filled" : seat eq "Z3-filler:2" ? "its filler" : \
  seat eq "A5-three-cycles:1" ? "A5 three-cycle, alone" : seat[strlen(seat) - 1:*] eq ":1" ? drawn(seat[1:strlen(seat) - 2]) : drawn(seat)

# Bars: a model has room 0.84, its depths stand side by side. Rows of others stand at -9, out of sight.
width = 0.84 / words(depths)
bar(j) = place(models, strcol("label")) + width * (j - 0.5 * (words(depths) + 1))
is(task, j) = strcol("task") eq task && strcol("measured") eq "longest" && sprintf("%.12g", column("layers")) eq word(depths, j)
height(x) = x < 1 ? 0.5 : x # 0 stands below 1
spread = words(seeds) > 1 ? 0.6 * width / (words(seeds) - 1) : 0
across(seed) = spread * (place(seeds, sprintf("%.12g", seed)) - 0.5 * (words(seeds) + 1))
full(j) = 0.9 - 0.5 * (j - 1) / (words(depths) > 1 ? words(depths) - 1 : 1)
layers_of(L) = L.(L eq "1" ? " layer" : " layers")
hue(v) = v eq "" ? 0 : int("0x".substr(colour(v), 2, 7))

# Eigenvalues: models side by side in a seat, elements beside each other.
beside(v) = (place(inside, v) - 0.5 * (words(inside) + 1)) * 0.8 / words(inside)
among(element) = 0.006 * (element - 30 * floor(element / 30.0) - 15) / words(inside)
stand(v) = place(seats, seat_of(strcol("task"), strcol("step"))) + beside(v) + among(column("element"))
eigenvalue(v, first, identity) = strcol("label") eq v && strcol("measured") eq "eigenvalue" && \
  (column("head") == 1) == first && (column("element") == 0) == identity

do for [format in kinds("png svg pdf")] {
  eval picture(format, 1560, 185 + 400 * lines)
  set output out.".".format
  high = 185.0 + 400 * lines
  set multiplot layout lines,3 title "State tracking: the longest words that a model follows" font ",16" offset 0,-0.3 \
    margins 0.062,0.99,220 / high,1 - 90 / high spacing 0.045,150 / high
  eval "set label 1 made at screen 0.02,".sprintf("%.4f ", 96 / high).small_print
  eval "set label 2 'Points: ".words(seeds).(words(seeds) == 1 ? " seed" : " seeds, fewer where there are fewer points").\
    "; bars: their median. Dashed: the trained length. A token of RWKV-7 or DeltaNet is at most one reflection a head, with an ".\
    "eigenvalue near -1; of deltaproduct two.\n".\
    "Eigenvalues: all seeds, the median of a word; crosses: the identity; dashed: -1, a reflection, and -.455, below which v7 as ".\
    "shipped cannot go. Without points: not trained. This shows what is\nlearned in so few examples, not what is possible. Published: ".\
    "layers needed for words of all 60 elements, d=512, a million words a length (arXiv:2404.08819 Figure 3; arXiv:2503.14456).' ".\
    "at screen 0.02,".sprintf("%.4f ", 42 / high).small_print
  set logscale y 2
  set yrange [0.5:1.9 * longest]
  set ytics ("0" 0.5, 1, 3, 6, 12, 24, 48, 96, 192, 384)
  set xrange [0.4:words(models) + 0.6]
  set xtics rotate by -35 left noenhanced font ",10" scale 0
  set style fill solid noborder
  set boxwidth 0.92 * width
  do for [i = 1:n] {
    shown_task = word(tasks, i)
    set title title_of(shown_task) noenhanced font ",12" offset 0,-0.5
    set ylabel (i % 3 == 1) ? "elements in the longest words" : ""
    set arrow 1 from graph 0, first 12 to graph 1, first 12 nohead back lc rgb "#909090" dt 2
    unset key
    if (i == 1 && words(depths) > 1) { set key top right maxrows 1 noreverse Right }
    plot for [k = 1:words(models)] "+" using (k):(1e-3):xtic(drawn(word(models, k))) every ::0::0 with dots notitle, \
      for [j = 1:words(depths)] $data using (is(shown_task, j) ? bar(j) : -9):(height(column("median"))):(hue(strcol("label"))) \
        with boxes fs solid full(j) lc rgb variable notitle, \
      for [j = 1:words(depths)] $data using (is(shown_task, j) ? bar(j) + across(column("seed")) : -9):(height(column("value"))) \
        with points pt 7 ps 0.55 lc rgb "#202020" notitle, \
      for [j = 1:words(depths)] keyentry with boxes fs solid full(j) lc rgb "#606060" title layers_of(word(depths, j))
    unset label
    unset arrow
  }
  if (panels > n) {
    unset logscale
    set title "smallest eigenvalue of the trained transition, one layer" font ",12" offset 0,-0.5
    set yrange [-1.08:1.45]
    set ytics -1, 0.5, 1
    set ylabel ""
    set xrange [0.4:words(seats) + 0.6]
    do for [y in "-1 -0.455"] { set arrow from graph 0, first real(y) to graph 1, first real(y) nohead back lc rgb "#909090" dt 2 }
    set key top left horizontal maxrows 2 Left reverse samplen 1 font ",10"
    plot for [k = 1:words(seats)] "+" using (k):(-9):xtic(name_of(word(seats, k))) every ::0::0 with dots notitle, \
      for [v in inside] for [h = 1:2] $data using (eigenvalue(v, h == 1, 0) ? stand(v) : -9):(column("value")) \
        with points pt (h == 1 ? 7 : 6) ps 0.5 lc rgb colour(v) title drawn(v).(h == 1 ? ", head 1" : ", other heads"), \
      for [v in inside] $data using (eigenvalue(v, 0, 1) || eigenvalue(v, 1, 1) ? stand(v) : -9):(column("value")) \
        with points pt 2 ps 0.9 lc rgb colour(v) notitle
    unset arrow
  }
  unset multiplot
  set xtics norotate
}

# ListOps: accuracy against examples, by the number of lists at the end, and what is published; guesses as lines.
#   gnuplot -e "out='runs/listops/listops'" plots/listops.gp    reads out.figure.tsv, writes out.png, .svg, .pdf
if (!exists("out")) out = "runs/listops/listops"
load ARG0[1:strlen(ARG0) - strlen("listops.gp")]."common.gp"
file = out.".figure.tsv"
eval read("$data")
file = here."published/listops.tsv"
eval read("$published")
made = made_by($data[1], $data[2])
eval cells_where("models", "$data", "label", "strcol('measured') eq 'curve'")
eval cells_where("guesses", "$data", "label", "strcol('measured') eq 'guess'")
eval largest("seeds", "runs", 1)
eval largest("far", "examples", 1)
eval largest("most", "lists", 1)
enough = 20 # answers that a point of the second panel rests on, at least
of(v, what) = strcol("label") eq v && strcol("measured") eq what
x(v, what, name) = of(v, what) && (what ne "lists" || column("count") >= enough) ? column(name) : NaN
aside(i) = 0.09 * (i - (words(models) + 1) / 2.0) # models stand side by side
note = sprintf("Lines: the median of %d seed%s; dots: each seed (in the second panel from %d answers on). One learning rate a kind of model. "\
  ."Dashed and dotted: guesses that look at\nno more than the first token. It shows who learns to look inside short lists, not what happens in the Long Range "\
  ."Arena, at 500 to 2,000 tokens. There the published\nTransformer has what the guess by the outermost operator has (dotted at the right: 2,000 expressions "\
  ."drawn in the same way, the guess made on themselves).", seeds, seeds == 1 ? "" : "s", enough)

do for [format in kinds("png svg pdf")] {
  eval picture(format, 1400, 640)
  set output out.".".format
  set multiplot layout 1,3 title "ListOps: the value of nested lists" font ",16" offset 0,-0.3
  eval "set label 1 made at screen 0.012,0.165 ".small_print
  eval "set label 2 note at screen 0.012,0.075 ".small_print
  set bmargin at screen 0.3; set tmargin at screen 0.86
  set yrange [0:1.04]
  set ytics 0.2
  set format y "%.1f"
  set lmargin at screen 0.05; set rmargin at screen 0.4
  set title "while training" offset 0,-0.5
  set xrange [0:far * 0.00102]
  set xlabel "examples (thousands)" offset 0,0.4
  set ylabel "accuracy, held out"
  set key top left Left reverse samplen 2
  plot for [i = 1:words(guesses)] v = word(guesses, i) $data using (x(v, "guess", "median") * 0):(column("median")):(far / 1000):(0) \
      with vectors nohead lw 1.4 dt i + 1 lc rgb "#707070" title drawn(v), \
    for [v in models] $data using (x(v, "curve", "examples") / 1000):(column("value")) with points pt 6 ps 0.7 lc rgb colour(v) notitle, \
    for [v in models] $data using (x(v, "curve", "examples") / 1000):(column("median")) \
      with linespoints lw 2.2 pt point(v) ps 1 dt dash(v) lc rgb colour(v) title drawn(v)
  unset label
  unset key
  set lmargin at screen 0.44; set rmargin at screen 0.76
  set title "at the end, by how many lists there are" offset 0,-0.5
  set xlabel "lists in the expression" offset 0,0.4
  set ylabel ""
  set xrange [0.5:most + 0.5]
  set xtics 1 add ("6 or more" 6)
  plot for [i = 1:words(models)] v = word(models, i) $data using (x(v, "lists", "lists") + aside(i)):(column("value")) \
      with points pt 6 ps 0.7 lc rgb colour(v) notitle, \
    for [i = 1:words(models)] v = word(models, i) $data using (x(v, "lists", "lists") + aside(i)):(column("median")) \
      with linespoints lw 2.2 pt point(v) ps 1.1 dt dash(v) lc rgb colour(v) notitle
  set lmargin at screen 0.8; set rmargin at screen 0.965
  set title "published, 500 to 2,000 tokens" offset 0,-0.5
  set xlabel ""
  set xrange [-0.6:2.6]
  set xtics () rotate by -35 left noenhanced font ",10" scale 0
  set boxwidth 0.6
  plot $published using 0:(column("accuracy")):xtic(drawn(strcol("label"))) with boxes lc rgb "#d0d0d0", \
    for [i = 1:words(guesses)] v = word(guesses, i) $data using (x(v, "arena", "median") * 0 - 0.6):(column("median")):(3.2):(0) \
      with vectors nohead lw 1.4 dt i + 1 lc rgb "#707070"
  unset multiplot
  set xtics norotate
}

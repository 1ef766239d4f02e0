# MQAR demo: accuracy against examples seen, and the accuracy at the end.
#   gnuplot -e "out='runs/mqar_demo/mqar_demo'" plots/mqar_demo.gp      reads out.tsv, writes out.png, out.svg
if (!exists("out")) out = "runs/mqar_demo/mqar_demo"
load ARG0[1:strlen(ARG0) - strlen("mqar_demo.gp")]."common.gp"
file = out.".tsv"
eval read("$data")
eval cells("versions", "$data", "label")
eval cells("tried", "$data", "seed")
eval cells("rates", "$data", "lr")
made = made_by($data[1], $data[2]). \
  said("One run a version (seed ".drawn(word(tried, 1)).", learning rate ".drawn(word(rates, 1)). "): it shows who is ahead after so ". \
  "many examples, not who can learn it; seeds change the order.")
array state[words(versions)]
array reached[words(versions)]
do for [i = 1:words(versions)] {
  v = word(versions, i)
  stats $data using (strcol("label") eq v ? (state[i] = strcol("state_floats"), 0) : 0) nooutput
  reached[i] = 0
  stats $data using (strcol("label") eq v && column("accuracy") > 0 ? (reached[i] = column("accuracy"), 0) : 0) nooutput
}

do for [format in kinds("png svg")] {
  eval picture(format, 1400, 620)
  set output out.".".format
  set multiplot layout 1,2 title "RWKV on multi-query associative recall: the same examples; one seed, one learning rate" \
    font ",16" offset 0,-0.3 margins 0.065,0.985,0.245,0.87 spacing 0.085
  eval "set label 1 made at screen 0.03,0.075 ".small_print
  set yrange [0:1.07]
  set ytics 0.2
  set format y "%.1f"
  set ylabel "accuracy on held-out examples" offset 0.5,0
  set xlabel "examples seen" offset 0,0.4
  set xrange [0:*]
  set format x "%.0f"
  plot for [v in versions] $data using (strcol("label") eq v ? column("examples") : NaN):(column("accuracy")) \
    with linespoints lw 2.2 lc rgb colour(v) pt point(v) ps 1.1 dt dash(v) title drawn(v)
  unset label 1
  unset key
  set ylabel "accuracy at the end"
  set xlabel "version, and its state in floats per sequence" offset 0,-0.9
  set xrange [-0.6:words(versions)-0.4]
  set xtics () noenhanced
  set boxwidth 0.7
  plot for [i = 1:words(versions)] "+" using (i - 1):(reached[i]):xtic(drawn(word(versions, i))."\n".drawn(state[i])) \
      every ::0::0 with boxes lc rgb colour(word(versions, i)) notitle, \
    for [i = 1:words(versions)] "+" using (i - 1):(reached[i] + 0.03):(sprintf("%.2f", reached[i])) every ::0::0 \
      with labels font ",11" notitle
  unset multiplot
  set key
  set xtics auto
}

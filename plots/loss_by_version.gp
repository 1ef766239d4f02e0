# Loss of every version and of attention at equally many parameters: against bytes read, and at the end.
#   gnuplot -e "out='runs/loss_by_version/loss_by_version'" plots/loss_by_version.gp   reads out.figure.tsv, writes out.png, ..
if (!exists("out")) out = "runs/loss_by_version/loss_by_version"
load ARG0[1:strlen(ARG0) - strlen("loss_by_version.gp")]."loss_curves.gp"
file = here."published/loss_by_version.tsv"
eval read("$published")
eval cells("models", "$data", "label")
eval largest("last", "megabytes", 1e-6)
n = words(models)
count = n
across = "megabytes"
of(k) = strcol("label") eq word(models, k)
hue(k) = colour(word(models, k))
broken(k) = dash(word(models, k))
called(k) = drawn(word(models, k))
at_end(name) = column("megabytes") == last ? column(name) : NaN
low = 100
stats $data using (low = -larger(-low, -at_end("median")), 0) nooutput
# What was published: loss and name of each row.
values = ""
stats $published using (values = values.(values eq "" ? "" : "; ").sprintf("%g ", column("loss")).drawn(strcol("label")), 0) nooutput

do for [format in kinds("png svg pdf")] {
  eval picture(format, 1400, 720)
  set output out.".".format
  set multiplot title "Text, byte by byte: the versions and attention at equally many parameters" font ",16" offset 0,-0.3
  eval "set label 1 made at screen 0.02,0.118 ".small_print
  eval "set label 2 seeds_said.\" The best learning rate of each. Parameters are made equal by the width of channel mixing. ".\
    "This shows the order after little training\\nof small models, not that of large ones. Published (2021: characters of ".\
    "simplebooks-92, 5 layers, d=512, digitised):\\n\".values.\".\" at screen 0.02,0.058 ".small_print
  set bmargin at screen 0.245; set tmargin at screen 0.87
  set lmargin at screen 0.065; set rmargin at screen 0.47
  set title "While training" offset 0,-0.6
  set xrange [0:last]
  set yrange [floor(low * 10 - 0.5) / 10.0 : low + 1.2]
  set format y "%.1f"
  set xlabel "megabytes read" offset 0,0.4
  set ylabel "loss on held-out text, nats a byte"
  set key top right Left reverse samplen 3 spacing 1.1
  eval curves
  unset label
  set lmargin at screen 0.545; set rmargin at screen 0.985
  set title "At the end: seeds, and a stroke at their median" offset 0,-0.6
  unset key
  set xlabel ""
  set ylabel ""
  set xrange [0.4:n + 0.6]
  set yrange [*:*]
  set format y "%.2f"
  set xtics 1, 1 rotate by 30 right
  plot for [k = 1:n] $data using (k - 0.3):(of(k) ? at_end("median") : NaN):(0.6):(0) \
      with vectors nohead lw 3 lc rgb hue(k) notitle, \
    for [k = 1:n] $data using (k):(of(k) ? at_end("value") : NaN):xtic(called(k)) \
      with points pt point(word(models, k)) ps 1.1 lc rgb hue(k) notitle
  unset multiplot
  set xtics norotate autofreq
}

# Recall against the size of the state, on a logarithmic axis.
#   gnuplot -e "out='runs/mqar_state/mqar_state'" plots/mqar_state.gp    reads out.figure.tsv, writes out.png, .svg, .pdf
if (!exists("out")) out = "runs/mqar_state/mqar_state"
load ARG0[1:strlen(ARG0) - strlen("mqar_state.gp")]."common.gp"
file = out.".figure.tsv"
eval read("$data")
made = made_by($data[1], $data[2])
eval cells("models", "$data", "label")
is(v) = strcol("label") eq v
aside(i) = 2 ** (0.05 * (i - (words(models) + 1) / 2.0)) # models of one size stand side by side

do for [format in kinds("png svg pdf")] {
  eval picture(format, 1000, 640)
  set output out.".".format
  set title "Recall against the state that is really kept" font ",16"
  eval "set label 1 made at screen 0.02,0.06 ".small_print
  set lmargin at screen 0.085; set rmargin at screen 0.78; set bmargin at screen 0.22
  set key at screen 0.8,0.88 left top Left reverse samplen 2 spacing 1.3
  set logscale x 2
  set format x "%.0f"
  set yrange [-0.02:1.05]
  set format y "%.1f"
  set xlabel "state of a sequence at its end, in bytes (float32), both layers (models of one size side by side)" offset 0,0.4
  set ylabel "accuracy on held-out examples"
  plot for [i = 1:words(models)] v = word(models, i) $data \
    using (column("state_bytes") * aside(i)):(is(v) ? column("mean") : NaN):(column("low")):(column("high")) \
    with yerrorbars lw 1.4 lc rgb colour(v) pt point(v) ps 1.4 title drawn(v)
}

# Recall against the size of the state, on a logarithmic axis.
#   gnuplot -e "out='runs/mqar_state/mqar_state'" plots/mqar_state.gp    reads out.figure.tsv, writes out.png, .svg, .pdf
if (!exists("out")) out = "runs/mqar_state/mqar_state"
load ARG0[1:strlen(ARG0) - strlen("mqar_state.gp")]."common.gp"
file = out.".figure.tsv"
eval read("$data")
eval largest("runs", "runs", 1)
made = made_by($data[1], $data[2]). \
  said("Points: ".(runs > 2 ? "the lowest, the highest and the mean of " : "").seeds(runs).", a stroke between. It shows which states ". \
  "suffice for so many pairs with this budget; a seed at 0 did not learn; its state may suffice.")
eval cells("models", "$data", "label")
is(v) = strcol("label") eq v
aside(i) = 2 ** (0.05 * (i - (words(models) + 1) / 2.0)) # models of one size stand side by side

do for [format in kinds("png svg pdf")] {
  eval picture(format, 1000, 640)
  set output out.".".format
  set title "Recall against the state that is really kept" font ",16"
  eval "set label 1 made at screen 0.02,0.085 ".small_print
  set lmargin at screen 0.085; set rmargin at screen 0.78; set bmargin at screen 0.23
  set key at screen 0.8,0.88 left top Left reverse samplen 2 spacing 1.3
  set logscale x 2
  set format x "%.0f"
  set yrange [-0.02:1.05]
  set format y "%.1f"
  set xlabel "state of a sequence at its end, in bytes (float32), both layers (models of one size side by side)" offset 0,0.4
  set ylabel "accuracy on held-out examples"
  plot for [i = 1:words(models)] v = word(models, i) $data using (column("state_bytes") * aside(i)):(is(v) ? column("low") : NaN): \
      (0):(column("high") - column("low")) with vectors nohead lw 1 lc rgb colour(v) notitle, \
    for [bound in (runs > 2 ? "low high mean" : "low high")] for [i = 1:words(models)] v = word(models, i) $data \
      using (column("state_bytes") * aside(i)):(is(v) ? column(bound) : NaN) with points lc rgb colour(v) pt point(v) ps 1.3 lw 1.4 \
      title (bound eq "low" ? drawn(v) : "")
}

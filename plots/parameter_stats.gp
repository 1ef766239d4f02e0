# What RWKV-7's vectors are, layer by layer, at the start and after training: removal key, replacement key, decay, learning rate.
#   gnuplot -e "out='runs/parameter_stats/parameter_stats'" plots/parameter_stats.gp   reads out.figure.tsv, writes out.png, ..
if (!exists("out")) out = "runs/parameter_stats/parameter_stats"
load ARG0[1:strlen(ARG0) - strlen("parameter_stats.gp")]."common.gp"
file = out.".figure.tsv"
eval read("$data")
file = here."published/parameter_stats.tsv"
eval read("$published")
made = made_by($data[1], $data[2])
eval cells("models", "$data", "label")
eval numbers("seeds", "$data", "seed")
eval largest("last", "layer", 0)
# A stroke a model and seed, and one at the start, side by side in a layer.
n = words(models) * words(seeds)
which(row) = words(seeds) * (place(models, strcol("label")) - 1) + place(seeds, sprintf("%.12g", column("seed")))
of(part, what) = strcol("part") eq part && strcol("name") eq what
aside(part) = part eq "start" ? -0.3 : -0.3 + 0.5 * which(0) / n
x(part, what) = of(part, what) ? column("layer") + aside(part) : NaN
trained(v, what) = strcol("label") eq v ? x("trained", what) : NaN
whole(row) = column("most") - column("least")
inner(row) = column("high") - column("low")
names = "xi alpha decay rate"
array titles[4] = ["removal key: ξ (k\\_k)", "replacement key: α (k\\_a)", "decay of a token, e^w", \
  "in-context learning rate of a token, a"]
seeds_said = words(seeds) == 1 ? "One seed." : sprintf("%d seeds, side by side.", words(seeds))
values = ""
stats $published using (values = values.(values eq "" ? "" : "; ").drawn(strcol("name")).sprintf(" from %g to %g", \
  column("least"), column("most")), 0) nooutput

do for [format in kinds("png svg pdf")] {
  eval picture(format, 1300, 860)
  set output out.".".format
  set multiplot layout 2,2 title "RWKV-7's vectors, layer by layer: at the start and after training" font ",16" offset 0,-0.3 \
    margins 0.06,0.985,0.2,0.88 spacing 0.075,0.12
  eval "set label 1 made at screen 0.02,0.118 ".small_print
  eval "set label 2 seeds_said.\" Thin: least to most, thick: 10 to 90 %, point: the middle; of the channels of a layer, of decay and ".\
    "rate over the tokens of a text, too.\\nPublished for trained models (arXiv:2503.14456, appendix L): \".values.\". Grey line: the ".\
    "lower bound of the decay.\\nThis shows what a small model learns, not what large ones do after trillions of tokens.\" ".\
    "at screen 0.02,0.058 ".small_print
  set xrange [-0.6:last + 0.6]
  set xtics 1
  set format y "%g"
  do for [i = 1:4] {
    what = word(names, i)
    set title titles[i] offset 0,-0.6
    set xlabel i > 2 ? "layer" : "" offset 0,0.4
    set key at screen 0.985,0.955 right top horizontal Left reverse samplen 1.5
    plot (what eq "decay" ? exp(-exp(-0.5)) : NaN) with lines lc rgb "#909090" dt 2 lw 1.2 notitle, \
      $data using (x("start", what)):(column("least")):(0):(whole(0)) with vectors nohead lw 1 lc rgb "#909090" notitle, \
      $data using (x("start", what)):(column("low")):(0):(inner(0)) with vectors nohead lw 6 lc rgb "#c0c0c0" notitle, \
      $data using (x("start", what)):(column("middle")) with points pt 7 ps 0.8 lc rgb "#606060" title (i == 1 ? "at the start" : ""), \
      for [v in models] $data using (trained(v, what)):(column("least")):(0):(whole(0)) with vectors nohead lw 1 lc rgb colour(v) notitle, \
      for [v in models] $data using (trained(v, what)):(column("low")):(0):(inner(0)) with vectors nohead lw 6 lc rgb light(v) notitle, \
      for [v in models] $data using (trained(v, what)):(column("middle")) with points pt 7 ps 0.8 lc rgb colour(v) \
        title (i == 1 ? drawn(v)." trained" : "")
    unset label
  }
  unset multiplot
}

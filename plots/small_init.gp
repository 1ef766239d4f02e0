# Loss against step from the official start, tiny embeddings and a norm, and from N(0, .02); a column a model, below it the distance.
#   gnuplot -e "out='runs/small_init/small_init'" plots/small_init.gp     reads out.figure.tsv, writes out.png, .svg, .pdf
if (!exists("out")) out = "runs/small_init/small_init"
load ARG0[1:strlen(ARG0) - strlen("small_init.gp")]."loss_curves.gp"
eval cells("models", "$data", "label")
eval cells("starts", "$data", "start")
eval largest("last", "step", 1)
# One range for all models, of losses and of distances.
of_all(what) = strcol("drawn") eq what
eval largest_where("high", "median", 0.1, "of_all('test_loss')")
eval largest_where("most", "median", 0.01, "of_all('behind')")
low = high
least = 0
stats $data using (of_all("test_loss") ? (low = -larger(-low, -column("median")), 0) : 0) nooutput
stats $data using (of_all("behind") ? (least = -larger(-least, -column("median")), 0) : 0) nooutput
n = words(models)
across = "step"
count = words(starts)
of(k) = strcol("label") eq v && strcol("drawn") eq what && strcol("start") eq word(starts, k)
hue(k) = k == 1 ? colour(v) : k == 2 ? "#505050" : "#a08050"
broken(k) = k == 1 ? 1 : k == 2 ? 2 : 3
called(k) = named ? (k == 1 ? "official: " : "").drawn(word(starts, k)) : ""

do for [format in kinds("png svg pdf")] {
  eval picture(format, n == 1 ? 1100 : 240 + 400 * n, 900)
  set output out.".".format
  set multiplot layout 2,n columnsfirst title "Small embeddings at the start: loss on held-out text, word by word" font ",16" \
    offset 0,-0.3 margins 0.085,0.985,0.2,0.885 spacing 0.06,0.1
  eval "set label 1 made at screen 0.02,0.118 ".small_print
  eval "set label 2 seeds_said.\" Embeddings start uniform within ±1e-4 and are normalised (official), or from N(0, .02), with that ".\
    "norm or without it.\\nPublished (arXiv:2305.13048, Figures 8 and 9, no values): the small start is ahead of N(0, .02) from the ".\
    "beginning. This shows the first steps\\nat one learning rate, not whether the others catch up in a long training.\" ".\
    "at screen 0.02,0.058 ".small_print
  set xrange [0:last]
  do for [i = 1:n] {
    v = word(models, i)
    named = 1
    what = "test_loss"
    set title drawn(v) noenhanced offset 0,-0.6
    set xlabel ""
    set ylabel i == 1 ? "loss, nats a token" : ""
    set yrange [low - 0.1 * (high - low) : high + 0.1]
    set format y "%.1f"
    set key top right Left reverse samplen 3
    eval curves
    unset label
    named = 0
    what = "behind"
    set title ""
    set xlabel "steps of training" offset 0,0.4
    set ylabel i == 1 ? "behind the official start" : ""
    set yrange [1.15 * least - 0.02 * most : 1.15 * most]
    set format y "%.2f"
    eval curves
  }
  unset multiplot
}

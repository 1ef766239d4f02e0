# Recall: accuracy against width, a panel a length: seeds as points, their median as a line; published values behind, lightly.
#   gnuplot -e "out='runs/mqar_versions/mqar_versions'" plots/mqar_versions.gp   reads out.figure.tsv, writes out.png, .svg, .pdf
if (!exists("out")) out = "runs/mqar_versions/mqar_versions"
load ARG0[1:strlen(ARG0) - strlen("mqar_versions.gp")]."common.gp"
file = out.".figure.tsv"
eval read("$data")
file = here."published/mqar_versions.tsv"
eval read("$published")
eval largest("runs", "runs", 1)
made = made_by($data[1], $data[2]). \
  said("Points: ".seeds(runs)."; lines: their median. Light and dashed: published after 64 epochs, one seed (digitised from ". \
    "arXiv:2404.05892 Figure 4; attention: arXiv:2312.04927 Figure 2; v7: recalled)."). \
  said("It shows who recalls after equally many examples, not what a version reaches in the published 64 epochs.")
eval cells("models", "$data", "label")
eval numbers("lengths", "$data", "seq")
is(v, T) = strcol("label") eq v && column("seq") == T
beside(v) = 1 + 0.025 * (place(models, v) - (words(models) + 1) / 2.0) # so that points do not cover each other

do for [format in kinds("png svg pdf")] {
  eval picture(format, words(lengths) == 1 ? 1100 : 300 + 420 * words(lengths), 640)
  set output out.".".format
  set multiplot layout 1,words(lengths) title "Multi-query associative recall: which version, at which width" font ",16" \
    offset 0,-0.3 margins 0.075,0.985,0.255,0.86 spacing 0.06
  eval "set label 1 made at screen 0.02,0.13 ".small_print
  set logscale x 2
  set xrange [54:620]
  set xtics (64, 128, 256, 512)
  set yrange [-0.03:1.06]
  set ytics 0.2
  set format y "%.1f"
  set key bottom right Left reverse samplen 2
  do for [i = 1:words(lengths)] {
    T = real(word(lengths, i))
    set title sprintf("T = %g, %d pairs", T, T == 512 ? 64 : T / 16) offset 0,-0.6
    set xlabel "width d" offset 0,0.4
    set ylabel i == 1 ? "accuracy on held-out examples" : ""
    plot for [v in models] $published using (column("dim")):(is(v, T) ? column("accuracy") : NaN) \
        with linespoints lw 1.2 dt 2 pt point(v) ps 0.7 lc rgb light(v) notitle, \
      for [v in models] $data using (column("dim") * beside(v)):(is(v, T) ? column("value") : NaN) \
        with points lw 1.4 lc rgb colour(v) pt point(v) ps 0.8 notitle, \
      for [v in models] $data using (column("dim") * beside(v)):(is(v, T) ? column("median") : NaN) \
        with lines lw 2.4 lc rgb colour(v) dt dash(v) notitle, \
      for [v in models] NaN with linespoints lw 2.4 lc rgb colour(v) pt point(v) ps 1.1 dt dash(v) title (i == 1 ? drawn(v) : ""), \
      NaN with lines lw 1.2 dt 2 lc rgb "#a0a0a0" title (i == 1 ? "published" : "")
    unset label
    unset key
  }
  unset multiplot
  set key
}

# First positions with 0, 1 and 2 leading tokens in front: loss of a text's first bytes, recall of the pairs in their order.
#   gnuplot -e "out='runs/first_token/first_token'" plots/first_token.gp     reads out.figure.tsv, writes out.png, .svg, .pdf
if (!exists("out")) out = "runs/first_token/first_token"
load ARG0[1:strlen(ARG0) - strlen("first_token.gp")]."common.gp"
file = out.".figure.tsv"
eval read("$data")
made = made_by($data[1], $data[2])
eval cells("models", "$data", "label")
eval numbers("all_seeds", "$data", "seed")
eval largest_where("pairs", "place", 2, "strcol('measured') eq 'recall'")
n = words(models)
seeds_said = words(all_seeds) == 1 ? "One seed." : sprintf("Points: each of %d seeds, lines: their median.", words(all_seeds))
of(v, begin, leading, tested) = strcol("label") eq v && strcol("measured") eq "loss" && strcol("begin") eq begin && \
  column("leading") == leading && column("tested") == tested
recalled(leading, tested) = strcol("measured") eq "recall" && column("leading") == leading && column("tested") == tested
beside(v) = place(models, v) - (n + 1) / 2.0 # models stand side by side
x(condition, aside) = condition ? column("place") * (1 + 0.03 * aside) : NaN

do for [format in kinds("png svg pdf")] {
  eval picture(format, 1500, 690)
  set output out.".".format
  set multiplot layout 1,3 title "The first token: what stands in front of it" font ",16" offset 0,-0.3 \
    margins 0.075,0.985,0.25,0.85 spacing 0.06
  eval "set label 1 made at screen 0.02,0.125 ".small_print
  eval "set label 2 seeds_said.\" Left: a token of its own in front of every example, in training and in the test. Middle: a model ".\
    "that was trained without gets ends of lines,\\nwhich it knows, before windows that begin a line: they also tell it that one begins. ".\
    "Below 0 is better. This shows small models after short training.\\nPublished (arXiv:2503.14456, appendix M, a summary, no values): ".\
    "the scores of released models depend on what is put first, more leading tokens are better.\" at screen 0.02,0.062 ".small_print
  set logscale x 2
  set xtics (1, 2, 4, 8, 16)
  set xrange [0.9:18]
  set format y "%.3f"
  set xlabel "bytes known before the one that is predicted" offset 0,0.4
  set key bottom right Left reverse samplen 3 spacing 1.2
  do for [i = 1:2] {
    begin = i == 1 ? "anywhere" : "line"
    set title i == 1 ? "Trained and tested with them" : "Trained without: ends of lines before a line" offset 0,-0.6
    set ylabel i == 1 ? "change of loss against none in front, nats a byte" : ""
    plot 0 with lines lc rgb "#b0b0b0" lw 1.2 notitle, \
      for [m = 1:2] for [v in models] $data using (x(of(v, begin, i == 1 ? m : 0, m), beside(v))):(column("value")) \
        with points pt point(v) ps (m == 1 ? 0.8 : 0.5) lc rgb colour(v) notitle, \
      for [m = 1:2] for [v in models] $data using (x(of(v, begin, i == 1 ? m : 0, m), beside(v))):(column("median")) \
        with lines lw 2.2 dt 2 * m - 1 lc rgb colour(v) title (i == 1 && m == 1 ? drawn(v) : ""), \
      NaN with lines lw 2.2 dt 1 lc rgb "#404040" title (i == 2 ? "one in front" : ""), \
      NaN with lines lw 2.2 dt 3 lc rgb "#404040" title (i == 2 ? "two in front" : "")
    unset label
  }
  unset logscale x
  set title "Recall (MQAR, v7), by the pair that is asked for" offset 0,-0.6
  set xrange [0.5:pairs + 0.5]
  set xtics 1, 1
  set yrange [0:1.05]
  set format y "%.1f"
  set xlabel "pair, in the order in which they are shown" offset 0,0.4
  set ylabel "accuracy" offset 1,0
  set key bottom left
  shade(m) = word("#f0b080 #D55E00 #702800", m + 1)
  plot for [m = 0:2] $data using (recalled(m, m) ? column("place") + 0.08 * (m - 1) : NaN):(column("value")) \
      with points pt 7 ps 0.6 lc rgb shade(m) notitle, \
    for [m = 0:2] $data using (recalled(m, m) ? column("place") + 0.08 * (m - 1) : NaN):(column("median")) \
      with lines lw 2.2 lc rgb shade(m) title sprintf("trained and tested with %d", m), \
    for [m = 1:2] $data using (recalled(0, m) ? column("place") : NaN):(column("median")) \
      with lines lw 1.6 dt m + 1 lc rgb "#808080" title sprintf("trained with 0, tested with %d", m)
  unset multiplot
  set xtics autofreq
  set yrange [*:*]
}

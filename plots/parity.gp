# Parity: scaled accuracy by length, the mean over seeds, a stroke from the worst to the best; published values at the right.
#   gnuplot -e "out='runs/parity/parity'" plots/parity.gp    reads out.figure.tsv, writes out.png, .svg, .pdf
here = system(sprintf("dirname '%s'", ARG0))
load here."/common.gp"
set datafile missing NaN
if (!exists("out")) out = "runs/parity/parity"
data = out.".figure.tsv"
published = here."/published/parity.tsv"
made = made_by(data)
models = values_in(data, "label")
is(v) = strcol("label") eq v && strcol("length") ne "40-256"
whole(v) = strcol("label") eq v && strcol("length") eq "40-256"
n = words(models)

do for [format in "png svg pdf"] {
  eval picture(format, 1300, 640)
  set output out.".".format
  set multiplot layout 1,2 title "Parity of bits: trained on 3 to 40, asked up to 256" font ",16" offset 0,-0.3
  eval "set label 1 made at screen 0.02,0.075 ".small_print
  set lmargin at screen 0.075; set rmargin at screen 0.6; set bmargin at screen 0.22; set tmargin at screen 0.86
  set yrange [-0.15:1.08]
  set format y "%.1f"
  set ylabel "accuracy, scaled: 0 is chance"
  set xlabel "length"
  set logscale x 2
  set xrange [3.5:290]
  set xtics (4, 8, 16, 32, 64, 128, 256)
  set arrow 1 from 40, graph 0 to 40, graph 1 nohead lc rgb "#909090" dt 2
  set label 2 " longest trained on" at 40, graph 0.04 textcolor rgb "#707070" font ",9"
  set key bottom left
  plot for [v in models] data using (is(v) ? column("length") : NaN):(column("mean")):(column("low")):(column("high")) \
    with yerrorlines lw 2 pt point(v) ps 1.1 dt dash(v) lc rgb colour(v) title v
  unset arrow; unset label; unset logscale
  set lmargin at screen 0.64; set rmargin at screen 0.985
  set title "all lengths 40-256: ours, and published" offset 0,-0.5
  set ylabel ""
  set xlabel ""
  m = int(system(sprintf("grep -vc '^#\\|^label' '%s'", published)))
  set xrange [-0.7:n + m - 0.3]
  set xtics () rotate by -35 left
  do for [i = 1:n] {set xtics add (word(models, i) i - 1)}
  do for [i = 1:m] {set xtics add (system(sprintf("grep -v '^#\\|^label' '%s' | sed -n %dp | cut -f1", published, i)) n + i - 0.5)}
  set bmargin at screen 0.28
  unset key
  set boxwidth 0.7
  set label 2 "published, arXiv:2411.12537 (best of 3 seeds)" at n - 0.1, 1.03 textcolor rgb "#707070" font ",9"
  plot for [i = 1:n] data using (whole(word(models, i)) ? i - 1 : NaN):(column("mean")) with boxes lc rgb colour(word(models, i)), \
    for [i = 1:n] data using (whole(word(models, i)) ? i - 1 : NaN):(column("mean")):(column("low")):(column("high")) \
      with yerrorbars lc rgb "#303030" pt 0 lw 1.4, \
    published using (n + $0 + 0.5):(column("scaled")) with boxes lc rgb "#d0d0d0"
  unset multiplot
  unset label
}

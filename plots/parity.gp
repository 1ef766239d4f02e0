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
is(v, to) = strcol("label") eq v && strcol("measured") eq "length" && column("trained_to") == to
whole(v) = strcol("label") eq v && strcol("measured") eq "test" && column("trained_to") == 40
n = words(models)
m = int(system(sprintf("grep -vc '^#\\|^label' '%s'", published)))

do for [format in "png svg pdf"] {
  eval picture(format, 1500, 680)
  set output out.".".format
  set multiplot layout 1,3 title "Parity of bits: trained on short texts, asked in longer ones" font ",16" offset 0,-0.3
  eval "set label 1 made at screen 0.02,0.075 ".small_print
  set bmargin at screen 0.29; set tmargin at screen 0.86
  set yrange [-0.2:1.08]
  set ytics 0.2
  set format y "%.1f"
  set logscale x 2
  set xtics (4, 8, 16, 32, 64, 128, 256)
  set xlabel "length, bits" offset 0,0.4
  set key top right Right noreverse samplen 2
  do for [k = 1:2] {
    to = k == 1 ? 8 : 40
    set lmargin at screen (k == 1 ? 0.06 : 0.37); set rmargin at screen (k == 1 ? 0.335 : 0.645)
    set xrange [3.5:(k == 1 ? 70 : 290)]
    set title sprintf("trained on %s bits", k == 1 ? "2-8" : "3-40") offset 0,-0.5
    set ylabel k == 1 ? "accuracy, scaled: 0 is chance" : ""
    set arrow 1 from to, graph 0 to to, graph 1 nohead lc rgb "#909090" dt 2
    plot for [v in models] data using (is(v, to) ? column("length") : NaN):(column("mean")):(column("low")):(column("high")) \
      with yerrorlines lw 1.8 pt point(v) ps 1 dt dash(v) lc rgb colour(v) title (k == 1 ? v : "")
    unset label 1
    unset key
  }
  unset arrow; unset logscale
  set lmargin at screen 0.69; set rmargin at screen 0.985
  set title "3-40 bits, asked 40-256: ours, and published (grey)" offset 0,-0.5
  set ylabel ""
  set xlabel ""
  set xrange [-0.7:n + m + 0.2]
  set xtics () rotate by -40 left
  do for [i = 1:n] {set xtics add (word(models, i) i - 1)}
  do for [i = 1:m] {set xtics add (system(sprintf("grep -v '^#\\|^label' '%s' | sed -n %dp | cut -f1", published, i)) n + i - 0.5)}
  set boxwidth 0.7
  plot for [i = 1:n] data using (whole(word(models, i)) ? i - 1 : NaN):(column("mean")) with boxes lc rgb colour(word(models, i)), \
    for [i = 1:n] data using (whole(word(models, i)) ? i - 1 : NaN):(column("mean")):(column("low")):(column("high")) \
      with yerrorbars lc rgb "#303030" pt 0 lw 1.4, \
    published using (n + $0 + 0.5):(column("scaled")) with boxes lc rgb "#d0d0d0"
  unset multiplot
  set xtics norotate
}

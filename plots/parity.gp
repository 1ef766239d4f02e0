# Parity: scaled accuracy by length, the best of the seeds as published, thin the mean; published values at the right.
#   gnuplot -e "out='runs/parity/parity'" plots/parity.gp    reads out.figure.tsv, writes out.png, .svg, .pdf
if (!exists("out")) out = "runs/parity/parity"
load ARG0[1:strlen(ARG0) - strlen("parity.gp")]."common.gp"
file = out.".figure.tsv"
eval read("$data")
file = here."published/parity.tsv"
eval read("$published")
eval largest("runs", "runs", 1)
made = made_by($data[1], $data[2]). \
  said("Thick lines and bars: the best of ".seeds(runs).", as published. Thin and dots: their mean; strokes: from the worst to the ". \
  "best. A best seed at 1 proves that training can find such weights, not that it finds them each time. Published: recalled from ". \
  "arXiv:2411.12537.")
eval cells("models", "$data", "label")
eval cells_where("wide", "$data", "label", "strcol('start') eq 'wide'")
eval cells_where("official", "$data", "label", "strcol('start') eq 'official'")
eval cells("others", "$published", "label")
is(v, start) = strcol("label") eq v && strcol("measured") eq "length" && strcol("start") eq start
whole(v) = strcol("label") eq v && strcol("measured") eq "test" && strcol("start") eq "wide"
n = words(models)
m = words(others)

do for [format in kinds("png svg pdf")] {
  eval picture(format, 1500, 680)
  set output out.".".format
  set multiplot layout 1,3 title "Parity of bits: trained on 3 to 40, asked in longer texts" font ",16" offset 0,-0.3
  eval "set label 1 made at screen 0.02,0.12 ".small_print
  set bmargin at screen 0.29; set tmargin at screen 0.86
  set yrange [-0.2:1.08]
  set ytics 0.2
  set format y "%.1f"
  set logscale x 2
  set xtics (4, 8, 16, 32, 64, 128, 256)
  set xlabel "length, bits" offset 0,0.4
  set key at screen 0.385,0.72 left top vertical Left reverse samplen 2
  do for [k = 1:2] {
    start = k == 1 ? "wide" : "official"
    set lmargin at screen (k == 1 ? 0.06 : 0.37); set rmargin at screen (k == 1 ? 0.335 : 0.645)
    set xrange [3.5:290]
    set title k == 1 ? "embeddings start from N(0,1)" : "embeddings start within ±0.0001 (official)" offset 0,-0.5
    set ylabel k == 1 ? "accuracy, scaled: 0 is chance" : ""
    set arrow 1 from 40, graph 0 to 40, graph 1 nohead lc rgb "#909090" dt 2
    started = k == 1 ? wide : official
    plot for [v in started] $data using (is(v, start) ? column("length") : NaN):(column("mean")) \
        with lines lw 0.8 lc rgb colour(v) notitle, \
      for [v in started] $data using (is(v, start) ? column("length") : NaN):(column("high")) \
        with linespoints lw 2.2 pt point(v) ps 1 dt dash(v) lc rgb colour(v) title (k == 1 ? drawn(v) : "")
    unset label 1
    unset key
  }
  unset arrow; unset logscale
  set lmargin at screen 0.69; set rmargin at screen 0.955
  set title "all of 40-256: ours (first panel), and published (grey)" offset 0,-0.5
  set ylabel ""
  set xlabel ""
  set xrange [-0.7:n + m + 0.2]
  set xtics () rotate by -50 left noenhanced font ",11"
  set boxwidth 0.7
  plot for [i = 1:n] "+" using (i - 1):(-9):xtic(drawn(word(models, i))) every ::0::0 with dots, \
    for [i = 1:n] $data using (whole(word(models, i)) ? i - 1 : NaN):(column("high")) with boxes lc rgb colour(word(models, i)), \
    for [i = 1:n] $data using (whole(word(models, i)) ? i - 1 : NaN):(column("mean")):(column("low")):(column("high")) \
      with yerrorbars lc rgb "#303030" pt 7 ps 0.5 lw 1.2, \
    $published using (n + $0 + 0.5):(column("scaled")):xtic(drawn(strcol("label"))) with boxes lc rgb "#d0d0d0"
  unset multiplot
  set xtics norotate
}

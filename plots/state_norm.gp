# What is in the matrix states while a long text is read: root mean square, largest entry, stable rank.
#   gnuplot -e "out='runs/state_norm/state_norm'" plots/state_norm.gp      reads out.figure.tsv, writes out.png, .svg, .pdf
if (!exists("out")) out = "runs/state_norm/state_norm"
load ARG0[1:strlen(ARG0) - strlen("state_norm.gp")]."common.gp"
file = out.".figure.tsv"
eval read("$data")
made = made_by($data[1], $data[2]). \
  said("Thick: median over heads, streams and seeds; bands: 10 to 90 %; thin: single layers. Grey: what arXiv:2503.14456 (section 4.1) ". \
  "says of large models. It shows the ratio of the versions; sizes grow with models and training, and are those of small ones.")
eval cells("versions", "$data", "label")
eval cells_where("layers", "$data", "layer", "strcol('layer') ne 'all'")
eval largest("trained", "trained", 1)
# The columns of the table: label layer position trained, then four of each quantity: median, 10 %, 90 %, maximum
of(v, l) = strcol("label") eq v && strcol("layer") eq l ? column("position") : NaN

do for [format in kinds("png svg pdf")] {
  eval picture(format, 1500, 640)
  set output out.".".format
  set multiplot layout 1,3 title "Matrix states while a long text is read" font ",16" offset 0,-0.3 \
    margins 0.06,0.985,0.245,0.86 spacing 0.055
  eval "set label 1 made at screen 0.02,0.095 ".small_print
  set style fill transparent solid 0.13 noborder
  set logscale x 2
  set xrange [1:*]
  set xtics auto
  set format x "2^{%L}"
  set xlabel "tokens read"
  set arrow 1 from first trained, graph 0 to first trained, graph 1 nohead lc rgb "#cccccc" dt 2 back
  set label 2 sprintf("trained on %d", trained) at first trained, graph 0.02 rotate by 90 offset -0.6,0 font ",9" textcolor rgb "#808080"
  do for [q = 0:2] {
    at = 5 + 4 * q
    if (q < 2) { set logscale y; set format y "10^{%T}" } else { unset logscale y; set format y "%g" }
    set title word("'root mean square of the entries' 'largest entry' 'stable rank, |S|_F^2 / |S|_2^2'", q + 1) offset 0,-0.5
    if (q == 0) { set yrange [0.02:200] }
    if (q == 1) {
      set yrange [0.2:5000]
      set label 3 "v6, large models: thousands" at graph 0.02, first 2300 font ",10" textcolor rgb "#808080"
      set label 4 "v7, large models: about 1" at graph 0.5, first 0.72 font ",10" textcolor rgb "#808080"
      set arrow 2 from graph 0, first 1 to graph 1, first 1 nohead lc rgb "#cccccc" lw 2 back
      set arrow 3 from graph 0, first 1000 to graph 0, first 5000 nohead lc rgb "#b0b0b0" lw 6 back
    }
    if (q == 2) { set yrange [0:*] }
    if (q == 1) { set key at graph 0.01,0.86 } else { set key top left }
    plot for [v in versions] $data using (of(v, "all")):(column(at + 1)):(column(at + 2)) with filledcurves lc rgb colour(v) notitle, \
      for [v in versions] for [l in layers] $data using (of(v, l)):(column(at)) with lines lw 0.7 lc rgb colour(v) notitle, \
      for [v in versions] $data using (of(v, "all")):(column(at)) with linespoints lw 2.4 lc rgb colour(v) pt point(v) ps 0.8 \
        title (q == 0 ? drawn(v) : ""), \
      for [v in versions] $data using (of(v, "all")):(q == 1 ? column(at + 3) : -1) with lines lw 1.6 dt 3 lc rgb colour(v) \
        title (q == 1 && v eq word(versions, 1) ? "largest of all heads" : "") # -1: below the axis
    unset label
    unset arrow 2
    unset arrow 3
    set label 2 ""
  }
  unset arrow
  unset multiplot
  unset logscale
}

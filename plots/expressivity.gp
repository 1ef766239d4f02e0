# What a head of RWKV-7 can do by construction: tracking swaps; eigenvalues of its transition.
#   gnuplot -e "out='runs/expressivity/expressivity'" plots/expressivity.gp   reads out.figure.tsv, writes out.png, .svg, .pdf
if (!exists("out")) out = "runs/expressivity/expressivity"
load ARG0[1:strlen(ARG0) - strlen("expressivity.gp")]."common.gp"
file = out.".figure.tsv"
eval read("$data")
made = made_by($data[1], $data[2]). \
  said("Nothing is trained. c: the largest in-context learning rate; exact: keys e_i - e_j at half the rate. It proves what one head ". \
  "can do with given weights, not what training finds; eigenvalues are those of random transitions.")
eval cells_where("swaps", "$data", "label", "strcol('part') eq 'swaps'")
eval cells_where("eigenvalues", "$data", "label", "strcol('part') eq 'eigenvalues'")
is(part, v) = strcol("part") eq part && strcol("label") eq v
hues = colour("exact")." ".colour("v7-doubled")." ".colour("v7")
rates = colour("v7")." #999999 ".colour("v7-doubled")

do for [format in kinds("png svg pdf")] {
  eval picture(format, 1300, 620)
  set output out.".".format
  set multiplot layout 1,2 title "One head of RWKV-7, by construction" font ",16" offset 0,-0.3 \
    margins 0.075,0.985,0.225,0.84 spacing 0.085
  eval "set label 1 made at screen 0.02,0.09 ".small_print
  set title "tracking permutations of five things, swap by swap" offset 0,-0.4
  set logscale xy
  set xrange [1:*]
  set yrange [1e-9:3]
  set format y "10^{%T}"
  set format x "10^{%T}"
  set xlabel "swaps"
  set ylabel "largest error of the state (1e-9: none)"
  set arrow 1 from 1, 0.5 to graph 1, first 0.5 nohead lc rgb "#909090" dt 2
  set label 2 "beyond this an entry is read off wrongly" at 1.3, 0.17 textcolor rgb "#707070" font ",9"
  set key at graph 0.98, 0.24 right Right noreverse samplen 2
  plot for [i = 1:words(swaps)] $data using (is("swaps", word(swaps, i)) ? column("x") : NaN):(column("error") < 1e-9 ? 1e-9 : column("error")) \
    with linespoints lw 2.2 pt (i == 1 ? 7 : i == 2 ? 12 : 13) ps 0.9 lc rgb one_of(hues, i) title drawn(word(swaps, i))
  unset arrow; unset label
  unset logscale
  set format x "%.1f"
  set format y "%.0f %%"
  set title "smallest eigenvalue of diag(w) - κ (a κ)', random w, σ, κ" offset 0,-0.4
  set xlabel "eigenvalue"
  set ylabel "of the transitions"
  set xrange [-1.6:1.5]
  set yrange [0:*]
  set offsets 0, 0, graph 0.14, 0
  set boxwidth 0.02
  set style fill transparent solid 0.6 noborder
  set arrow 1 from -1, graph 0 to -1, graph 1 nohead lc rgb "#404040" dt 2
  set label 3 "left of this line the state can grow" at first -0.97, graph 0.95 left textcolor rgb "#404040" font ",9"
  set key top right Right noreverse
  plot for [i = 1:words(eigenvalues)] $data using (is("eigenvalues", word(eigenvalues, i)) ? column("x") : NaN):(100 * column("right")) with boxes \
    lc rgb one_of(rates, i) title drawn(word(eigenvalues, i))
  unset multiplot
  unset offsets
  unset arrow; unset label
}

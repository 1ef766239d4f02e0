# Large keys in RWKV-4's weighted mean, computed in four ways; and rounding errors against the length of a sequence.
#   gnuplot -e "out='runs/wkv_stability/wkv_stability'" plots/wkv_stability.gp      reads out.figure.tsv, writes out.png, .svg, .pdf
if (!exists("out")) out = "runs/wkv_stability/wkv_stability"
load ARG0[1:strlen(ARG0) - strlen("wkv_stability.gp")]."common.gp"
file = out.".figure.tsv"
eval read("$data")
made = made_by($data[1], $data[2]). \
  said("Grey lines: where the official code of RWKV-2 and RWKV-3 cuts keys (60), where its ε is as large as e^k (ln ε), and where e^k ". \
  "leaves float32. Mean over the seeds; band: lowest to highest. It proves which form is exact, not that trained models have such ". \
  "keys.")
forms = "v2 v3 naive v4"
titles = "'v2: at most e^{60}, + 10^{-16}' 'v3: at most e^{60}, + 10^{-8}' 'as it is written' 'v4: running maximum'"
hue(f) = colour(f)
number(part, f, what) = strcol("part") eq part && strcol("label") eq f && column("finite") == 1 ? column(what) : NaN
broken(part, f) = strcol("part") eq part && strcol("label") eq f && column("finite") < 1 ? 6 : NaN
long(v, kind, what) = strcol("part") eq "length" && strcol("label") eq v && strcol("kernels") eq kind ? column(what) : NaN
mark(x, text) = sprintf("set arrow from first %g, graph 0 to first %g, graph 1 nohead lc rgb '#cccccc' lw 1 back; ", x, x). \
  sprintf("set label '%s' at first %g, graph 0.02 rotate by 90 offset -0.6,0 font ',9' textcolor rgb '#808080'; ", text, x)

do for [format in kinds("png svg pdf")] {
  eval picture(format, 1500, 640)
  set output out.".".format
  set multiplot layout 1,3 title "Numbers in the recurrences: float32 held against float64" font ",16" offset 0,-0.3 \
    margins 0.06,0.985,0.235,0.86 spacing 0.06
  eval "set label 1 made at screen 0.02,0.09 ".small_print
  set logscale y
  set yrange [1e-9:1e5]
  set format y "10^{%T}"
  set style fill transparent solid 0.15 noborder

  set title "all keys near k: the exact result is the same everywhere" offset 0,-0.5
  set xlabel "k (each key: k + a normal number)"
  set ylabel "relative error" offset 0.5,0
  set xrange [-125:125]
  set xtics 40
  eval mark(-36.84, "ln 10^{-16}")
  eval mark(-18.42, "ln 10^{-8}")
  eval mark(60, "e^{60}")
  eval mark(88.7, "e^k = ∞")
  unset key
  plot for [i = 1:words(forms)] f = word(forms, i) $data using (column("x")):(number("offset", f, "error")) \
      with lines lw 2.4 lc rgb hue(f) dt dash(f), \
    $data using (column("x")):(broken("offset", "naive")) with points pt 2 ps 0.8 lc rgb colour("naive")
  unset arrow
  unset label

  set title "keys of deviation s around 0" offset 0,-0.5
  set xlabel "s"
  set ylabel ""
  set logscale x
  set xrange [1:100]
  set xtics (1, 2, 5, 10, 20, 50, 100)
  set key top left Left reverse samplen 1.8 spacing 1.05 enhanced
  plot for [i = 1:words(forms)] f = word(forms, i) $data using (column("x")):(number("spread", f, "error")) \
      with lines lw 2.4 lc rgb hue(f) dt dash(f) title word(titles, i), \
    $data using (column("x")):(broken("spread", "naive")) with points pt 2 ps 0.8 lc rgb colour("naive") title "… not all of it finite"

  set title "long sequences, random inputs" offset 0,-0.5
  set xlabel "position"
  set yrange [2e-8:2e-5]
  set logscale x 2
  set xrange [12:*]
  set xtics auto
  set format x "2^{%L}"
  set key default
  set key top left Left reverse samplen 2 noopaque noenhanced
  plot for [v in "v4 v6 v7"] $data using (column("x")):(long(v, "fast", "low")):(long(v, "fast", "high")) \
      with filledcurves lc rgb colour(v) notitle, \
    for [v in "v4 v6 v7"] $data using (column("x")):(long(v, "fast", "error")) \
      with linespoints lw 2.2 lc rgb colour(v) pt point(v) ps 0.9 title v.", fast kernels", \
    for [v in "v4 v6 v7"] $data using (column("x")):(long(v, "reference", "error")) \
      with lines lw 1.6 lc rgb colour(v) dt 3 title v.", plain loops"
  unset multiplot
  unset logscale
  set key default
}

# Past the training length: what the longer context gains at each position against the last T/2 to T bytes alone, a panel a model.
#   gnuplot -e "out='runs/longctx_rise/longctx_rise'" plots/longctx_rise.gp   reads out.figure.tsv, writes out.png, .svg, .pdf
if (!exists("out")) out = "runs/longctx_rise/longctx_rise"
load ARG0[1:strlen(ARG0) - strlen("longctx_rise.gp")]."common.gp"
file = out.".figure.tsv"
eval read("$data")
eval largest("runs", "runs", 1)
eval largest("trained", "context", 1)
eval largest("far", "length", 16)
made = made_by($data[1], $data[2]). \
  said("Lines: mean over documents of ".seeds(runs)."; bands: two standard errors over documents. Published: 3B, PG19, trained at 4096 tokens: ". \
    "RWKV-4 rises to about 3.6 nats a token from 10^4 on (a summary of arXiv:2404.05892 Figure 5)."). \
  said("It shows what these small models do with a text longer than their training; not what long training of a large one makes of it.")
eval cells("models", "$data", "label")
eval cells("arms", "$data", "arm")
is(v, a) = strcol("label") eq v && strcol("arm") eq a
hue(a) = one_of("#0072B2 #D55E00 #009E73 #CC79A7 #606060", place(arms, a))
n = words(models)

do for [format in kinds("png svg pdf")] {
  eval picture(format, 480 + 370 * n, 640)
  set output out.".".format
  set multiplot layout 1,n title "Longer texts than in training: does the context before the last ".sprintf("%g", trained)." bytes help or harm?" \
    font ",16" offset 0,-0.3 margins 0.065,0.825,0.255,0.86 spacing 0.055
  eval "set label 1 made at screen 0.02,0.14 ".small_print
  set logscale x 2
  set xrange [trained / 2:far]
  set xtics ("64" 64, "256" 256, "1k" 1024, "4k" 4096, "16k" 16384, "64k" 65536, "256k" 262144)
  set xlabel "position in the document, bytes" offset 0,0.4
  set format y "%+.3g"
  set key at screen 0.835,0.86 left top Left reverse samplen 2
  set arrow 1 from trained, graph 0 to trained, graph 1 nohead lc rgb "#909090" dt 2
  do for [k = 1:n] {
    v = word(models, k)
    eval cells_where("its_arms", "$data", "arm", "place(models, strcol('label')) == k")
    set title drawn(v) noenhanced offset 0,-0.6
    set ylabel k == 1 ? "gain, nats a byte (below 0: harm)" : ""
    plot 0 with lines lw 1 lc rgb "#808080" notitle, \
      for [a in its_arms] $data using (is(v, a) ? column("position") : NaN):(column("mean") - 2 * column("stderr")): \
        (column("mean") + 2 * column("stderr")) with filledcurves fs transparent solid 0.12 noborder lc rgb hue(a) notitle, \
      for [a in its_arms] $data using (column("position")):(is(v, a) ? column("mean") : NaN) \
        with linespoints lw 2 ps 0.7 pt 6 lc rgb hue(a) notitle, \
      for [a in arms] NaN with linespoints lw 2 ps 0.7 pt 6 lc rgb hue(a) title (k == 1 ? drawn(a) : "")
    unset label
    unset key
  }
  unset multiplot
  unset arrow
  set key
}

# Writing and reading text with a model of the released size 0.1B: tokens a second, for every version and number type.
#   gnuplot -e "out='runs/bench/bench_decode'" plots/bench_decode.gp      reads out.tsv and bench_prefill.tsv beside it, writes out.png, .svg
if (!exists("out")) out = "runs/bench/bench_decode"
load ARG0[1:strlen(ARG0) - strlen("bench_decode.gp")]."common.gp"
file = out.".tsv"
eval read("$decode")
eval cells("decoded", "$decode", "label")
eval largest_of("threads", "$decode", "threads", 1, "1")
made = made_by($decode[1], $decode[2]). \
  said("Above the bars: which part of the memory's read bandwidth (left) and of the machine's rate of matrix products in float32 ". \
  "(right) that is. One measurement each, of one machine, on as many threads as the title says; random weights.")
file = folder(out)."bench_prefill.tsv"
eval read("$prefill")
eval cells("prefilled", "$prefill", "label")

do for [format in kinds("png svg")] {
  eval picture(format, 1200, 520)
  set output out.".".format
  on = threads == 1 ? "one thread" : sprintf("%d threads", threads)
  set multiplot layout 1,2 title "Models of the released size 0.1B on ".on font ",16" offset 0,-0.3 \
    margins 0.07,0.985,0.24,0.8 spacing 0.09
  eval "set label 1 made at screen 0.02,0.1 ".small_print
  set yrange [0:*]
  set boxwidth 0.7
  set xtics noenhanced
  set ylabel "tokens a second"
  do for [i = 1:2] {
    table = i == 1 ? "$decode" : "$prefill"
    stats table using (0) nooutput
    set title i == 1 ? "writing token by token" : "reading a text of 512 tokens at once"
    set xrange [-0.6:STATS_records - 0.4]
    plot for [v in (i == 1 ? decoded : prefilled)] table using 0:(strcol("label") eq v ? column("tokens_per_s") : NaN):xtic(drawn(strcol("label"))." ".drawn(strcol("dtype"))) \
      with boxes lc rgb colour(v) notitle, \
      table using 0:(column("tokens_per_s")):(sprintf("%.0f %%", 100 * column(i == 1 ? "bandwidth_fraction" : "sgemm_fraction"))) \
      with labels offset 0,0.7 notitle
    unset label 1
  }
  unset multiplot
}

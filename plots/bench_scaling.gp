# Time of a token and memory against the length of the text, beside softmax attention.
#   gnuplot -e "out='runs/bench/bench_scaling'" plots/bench_scaling.gp      reads out.tsv, writes out.png, out.svg
if (!exists("out")) out = "runs/bench/bench_scaling"
load ARG0[1:strlen(ARG0) - strlen("bench_scaling.gp")]."common.gp"
file = out.".tsv"
eval read("$data")
eval cells("versions", "$data", "label")
made = made_by($data[1], $data[2]). \
  said("Not repeated, of one machine. It shows how time and memory grow with the text; attention is softmax attention with its cache, ". \
  "in the place of RWKV-7's time mixing; faster forms of it are not measured.")
eval largest("longest", "T", 256)
row(v, m, what) = strcol("label") eq v && strcol("mode") eq m ? column(what) : NaN
title_of(m) = m eq "train" ? "Training: forward and backward over T tokens" : "Reading in pieces of 256, the state carried on"
eval cells("dims", "$data", "dim")

do for [format in kinds("png svg")] {
  eval picture(format, 1400, 820)
  set output out.".".format
  set multiplot layout 2,2 title "One sequence of T tokens, 2 layers of width ".drawn(word(dims, 1)) noenhanced \
    font ",16" offset 0,-0.3 margins 0.07,0.985,0.15,0.88 spacing 0.075,0.09
  eval "set label 1 made at screen 0.02,0.058 ".small_print
  set logscale xy
  set xrange [180:1.4 * longest]
  set xtics ("256" 256, "1k" 1024, "4k" 4096, "16k" 16384, "65k" 65536)
  set key top left
  do for [m in "train read"] {
    set title title_of(m) offset 0,-0.6
    set ylabel m eq "train" ? "microseconds a token" : ""
    set yrange [1:2000]
    set format y "%g"
    plot for [v in versions] $data using (column("T")):(row(v, m, "us_per_token")) \
      with linespoints lw 2.2 lc rgb colour(v) pt point(v) ps 1.1 dt dash(v) title drawn(v)
    unset label 1
    unset key
  }
  set title ""
  do for [m in "train read"] {
    set ylabel m eq "train" ? "memory of the step, MB" : "memory of the program, MB" offset 0.5,0
    set format y "%.0s%c"
    set xlabel "T, tokens" offset 0,0.4
    set yrange [4:20000]
    plot for [v in versions] $data using (column("T")):(row(v, m, "memory_mb")) \
      with linespoints lw 2.2 lc rgb colour(v) pt point(v) ps 1.1 dt dash(v) notitle
  }
  unset multiplot
  unset logscale
  set key
}

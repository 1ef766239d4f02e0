# Training beside PyTorch: tokens a second, and how many times faster, for every version; all in turn in one run.
#   gnuplot -e "out='runs/bench/bench_peers'" plots/bench_peers.gp      reads out.tsv, writes out.png, out.svg
if (!exists("out")) out = "runs/bench/bench_peers"
load ARG0[1:strlen(ARG0) - strlen("bench_peers.gp")]."common.gp"
file = out.".tsv"
eval read("$data")
eval cells("versions", "$data", "label")
n = words(versions)
made = made_by($data[1], $data[2])
# The sizes, "64/256" for d=64, T=256; the peers, "torch 1.13|tuned".
size(row) = strcol("dim")."/".strcol("seq")
peer(row) = strcol("peer")."|".strcol("setting")
sizes = ""
stats $data using (sizes = with(sizes, size($0)), 0) nooutput
peers = ""
stats $data using (strcol("peer") eq "absent" ? 0 : (peers = with(peers, peer($0)), 0)) nooutput
is(v, p) = strcol("label") eq v && peer($0) eq p
cut(p) = strstrt(p, "|")
name(p) = sprintf("PyTorch %s %s", drawn(p[7:cut(p) - 1]), p[cut(p) + 1:*] eq "tuned" ? "tuned" : "as it is")
greys = "#b0b0b0 #606060 #CC79A7 #7B3294"
marks = "4 5 6 7"

do for [format in kinds("png svg")] {
  eval picture(format, 1400, 820)
  set output out.".".format
  set multiplot layout 2,n title "A training step on MQAR beside PyTorch, on the same cores, in turn" font ",16" offset 0,-0.3 \
    margins 0.06,0.985,0.2,0.88 spacing 0.045,0.09
  eval "set label 1 made at screen 0.02,0.04 ".small_print
  set xrange [0.4:words(sizes) + 0.6]
  set xtics () rotate by 60 right noenhanced
  set key bottom left
  do for [v in versions] {
    set title drawn(v) noenhanced offset 0,-0.6
    set logscale y
    set yrange [100:200000]
    set ytics auto
    set format y "%.0s%c"
    set ylabel v eq word(versions, 1) ? "tokens a second" : ""
    plot for [i = 1:words(sizes)] "+" using (i):(1e-9):xtic(drawn(word(sizes, i))) every ::0::0 with dots notitle, \
      $data using (place(sizes, size($0))):(strcol("label") eq v ? column("ours") : NaN) with points pt 13 ps 1.6 \
      lc rgb colour(v) title "Aviary", \
      for [i = 1:words(peers)] $data using (place(sizes, size($0))):(is(v, word(peers, i)) ? column("theirs") : NaN) \
      with points pt int(one_of(marks, i)) ps 1.2 lc rgb one_of(greys, i) title name(word(peers, i))
    unset label 1
    unset key
  }
  do for [v in versions] {
    set title ""
    set yrange [0.5:50]
    set ytics (0.5, 1, 2, 5, 10, 20, 50)
    set format y "%g"
    set ylabel v eq word(versions, 1) ? "times as fast as PyTorch" : ""
    set xlabel "d/T"
    plot for [i = 1:words(sizes)] "+" using (i):(1e-9):xtic(drawn(word(sizes, i))) every ::0::0 with dots notitle, \
      1 with lines lc rgb "#404040" dt 2 notitle, \
      for [i = 1:words(peers)] $data using (place(sizes, size($0))):(is(v, word(peers, i)) ? column("ratio") : NaN) \
      with points pt int(one_of(marks, i)) ps 1.2 lc rgb one_of(greys, i) notitle
  }
  unset multiplot
  set key
  unset xlabel
}

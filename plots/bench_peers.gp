# Training beside PyTorch: tokens a second, and how many times faster, for every version; all in turn in one run.
#   gnuplot -e "out='runs/bench/bench_peers'" plots/bench_peers.gp      reads out.tsv, writes out.png, out.svg
if (!exists("out")) out = "runs/bench/bench_peers"
load ARG0[1:strlen(ARG0) - strlen("bench_peers.gp")]."common.gp"
file = out.".tsv"
eval read("$data")
eval cells("versions", "$data", "label")
n = words(versions)
eval largest("rounds", "rounds", 1)
made = shortened(comment($data[1]))."\n".shortened(comment($data[2])). \
  said("As it is: PyTorch and its environment as installed. Tuned: kernels and threads of its BLAS chosen, heap in huge pages, fused ". \
  "AdamW. Each the faster of a loop over time and chunks. Medians of ".sprintf("%g", rounds)." rounds, one machine: how fast two ". \
  "programs are there, not what a GPU or a compiled kernel does.")
# The sizes, "64/256" for d=64, T=256; the peers, "torch 1.13|tuned".
size(row) = strcol("dim")."/".strcol("seq")
peer(row) = strcol("peer")."|".strcol("setting")
sizes = ""
stats $data using (sizes = with(sizes, size($0)), 0) nooutput
peers = ""
stats $data using (strcol("peer") eq "absent" ? 0 : (peers = with(peers, peer($0)), 0)) nooutput
is(v, p) = strcol("label") eq v && peer($0) eq p
cut(p) = strstrt(p, "|")
name(p) = sprintf("PyTorch %s, %s", drawn(p[7:cut(p) - 1]), p[cut(p) + 1:*] eq "tuned" ? "tuned" : "as it is")
hues = "#a0a0a0 #505050 #d98cbf #7b3294"
marks = "4 5 6 7"
tic(size) = (cut_at = strstrt(size, "/"), drawn(size[1:cut_at - 1])."\n".drawn(size[cut_at + 1:*]))
beside(i) = 0.18 * (i - (words(peers) + 1) / 2.0) # peers stand side by side

do for [format in kinds("png svg")] {
  eval picture(format, 1400, 820)
  set output out.".".format
  set multiplot layout 2,n title "A training step on MQAR beside PyTorch, on the same cores, in turn" font ",16" offset 0,-0.3 \
    margins 0.06,0.985,0.225,0.84 spacing 0.045,0.1
  eval "set label 1 made at screen 0.02,0.085 ".small_print
  set xrange [0.4:words(sizes) + 0.6]
  set xtics () scale 0 noenhanced font ",10"
  unset key
  set label 2 "Aviary, in its version's colour" at screen 0.07,0.925 point pt 13 ps 1.6 lc rgb "#404040" offset 1,0
  do for [i = 1:words(peers)] {
    set label 2 + i name(word(peers, i)) at screen 0.09 + 0.18 * i,0.925 noenhanced point pt int(one_of(marks, i)) ps 1.1 lw 1.4 \
      lc rgb one_of(hues, i) offset 1,0
  }
  do for [v in versions] {
    set title drawn(v) noenhanced offset 0,-0.6
    set logscale y
    set yrange [1000:200000]
    set ytics auto
    set format y "%.0s%c"
    set ylabel v eq word(versions, 1) ? "tokens a second" : ""
    plot for [i = 1:words(sizes)] "+" using (i):(1e-9):xtic(tic(word(sizes, i))) every ::0::0 with dots notitle, \
      $data using (place(sizes, size($0))):(strcol("label") eq v ? column("ours") : NaN) with points pt 13 ps 1.6 \
      lc rgb colour(v) notitle, \
      for [i = 1:words(peers)] $data using (place(sizes, size($0)) + beside(i)):(is(v, word(peers, i)) ? column("theirs") : NaN) \
      with points pt int(one_of(marks, i)) ps 1.1 lw 1.4 lc rgb one_of(hues, i) notitle
    unset label
  }
  do for [v in versions] {
    set title ""
    set yrange [0.5:50]
    set ytics (0.5, 1, 2, 5, 10, 20, 50)
    set format y "%g"
    set ylabel v eq word(versions, 1) ? "Aviary: times as fast" : ""
    set xlabel "width d, and below it the length T" offset 0,-0.3
    plot for [i = 1:words(sizes)] "+" using (i):(1e-9):xtic(tic(word(sizes, i))) every ::0::0 with dots notitle, \
      1 with lines lc rgb "#404040" dt 2 notitle, \
      for [i = 1:words(peers)] $data using (place(sizes, size($0)) + beside(i)):(is(v, word(peers, i)) ? column("ratio") : NaN) \
      with points pt int(one_of(marks, i)) ps 1.1 lw 1.4 lc rgb one_of(hues, i) notitle
  }
  unset multiplot
  unset xlabel
}

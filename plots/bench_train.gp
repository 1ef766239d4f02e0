# Training steps: tokens a second and the part of the machine's sgemm rate, against the width, for every length.
#   gnuplot -e "out='runs/bench/bench_train'" plots/bench_train.gp      reads out.tsv, writes out.png, out.svg
if (!exists("out")) out = "runs/bench/bench_train"
load ARG0[1:strlen(ARG0) - strlen("bench_train.gp")]."common.gp"
file = out.".tsv"
eval read("$data")
made = made_by($data[1], $data[2]). \
  said("Medians over the steps of one measurement, of one machine. Of the sgemm rate: arithmetic that the mathematics needs, of what a ". \
  "product of two large matrices does on the same threads (aviary help bench.md). It shows this program's speed, not what the versions ". \
  "cost elsewhere.")
eval largest("widest", "dim", 64)
eval numbers("lengths", "$data", "seq")
n = words(lengths)
array versions[n]
do for [i = 1:n] {
  T = real(word(lengths, i))
  eval cells_where("list", "$data", "label", "column('seq') == T")
  versions[i] = list
}
aside(v, i) = 2 ** (0.03 * (place(versions[i], v) - (words(versions[i]) + 1) / 2.0)) # versions stand side by side
row(v, T, what) = strcol("label") eq v && column("seq") == T ? column(what) : NaN

do for [format in kinds("png svg")] {
  eval picture(format, 1400, 820)
  set output out.".".format
  set multiplot layout 2,n title "A training step on MQAR (loss, backward, AdamW; 2 layers, vocabulary 8192)" font ",16" \
    offset 0,-0.3 margins 0.06,0.985,0.15,0.88 spacing 0.045,0.09
  eval "set label 1 made at screen 0.02,0.058 ".small_print
  set logscale x 2
  set xrange [45:1.4 * widest]
  set xtics (64, 128, 256, 512)
  set key bottom left
  do for [i = 1:n] {
    T = real(word(lengths, i))
    set title sprintf("T = %g", T) offset 0,-0.6
    set xlabel ""
    set logscale y
    set yrange [1000:200000]
    set format y "%.0s%c"
    set ylabel i == 1 ? "tokens a second" : ""
    plot for [v in versions[i]] $data using (column("dim") * aside(v, i)):(row(v, T, "tokens_per_s")) \
      with linespoints lw 2.2 lc rgb colour(v) pt point(v) ps 1.1 dt dash(v) title (i == 1 ? drawn(v) : "")
    unset label 1
    unset key
  }
  do for [i = 1:n] {
    T = real(word(lengths, i))
    set title ""
    unset logscale y
    set yrange [0:100]
    set format y "%.0f %%"
    set ylabel (i == 1 ? "of the sgemm rate" : "") offset 1.5,0
    set xlabel "width d"
    plot for [v in versions[i]] $data using (column("dim") * aside(v, i)):(100 * row(v, T, "sgemm_fraction")) \
      with linespoints lw 2.2 lc rgb colour(v) pt point(v) ps 1.1 dt dash(v) notitle
  }
  unset multiplot
  set key
}

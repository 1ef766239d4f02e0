# Training steps: tokens a second and the part of the machine's sgemm rate, against the width, for every length.
#   gnuplot -e "out='runs/bench/train'" plots/bench_train.gp      reads out.tsv, writes out.png, out.svg
here = system(sprintf("dirname '%s'", ARG0))
load here."/common.gp"
if (!exists("out")) out = "runs/bench/train"
data = out.".tsv"
versions = versions_in(data)
made = made_by(data)
lengths = system(sprintf("awk -F'\\t' '!/^#/ && $1 != \"label\" && !seen[$3]++ {print $3}' '%s' | sort -n", data))
n = words(lengths)
row(v, T, what) = strcol("label") eq v && strcol("seq") eq T ? column(what) : NaN
has(v, T) = int(system(sprintf("awk -F'\\t' '$1 == \"%s\" && $3 == \"%s\"' '%s' | wc -l", v, T, data)))

do for [format in "png svg"] {
  if (format eq "png") { set terminal pngcairo size 1400,820 font "sans,12" } else { set terminal svg size 1400,820 font "sans,13" }
  set output out.".".format
  set multiplot layout 2,n title "A training step on MQAR (loss, backward, AdamW; 2 layers, vocabulary 8192)" font ",16" \
    offset 0,-0.3 margins 0.06,0.985,0.13,0.88 spacing 0.045,0.09
  set label 1 made at screen 0.02,0.035 noenhanced font ",9" textcolor rgb "#707070"
  set logscale x 2
  set xrange [45:720]
  set xtics (64, 128, 256, 512)
  set key bottom left
  do for [i = 1:n] {
    T = word(lengths, i)
    set title "T = ".T offset 0,-0.6
    set xlabel ""
    set logscale y
    set yrange [500:200000]
    set format y "%.0s%c"
    set ylabel i == 1 ? "tokens a second" : ""
    plot for [v in versions] (has(v, T) ? data : "/dev/null") using (column("dim")):(row(v, T, "tokens_per_s")) \
      with linespoints lw 2.2 lc rgb colour(v) pt point(v) ps 1.1 dt dash(v) title (has(v, T) ? v : "")
    unset label 1
    unset key
  }
  do for [i = 1:n] {
    T = word(lengths, i)
    set title ""
    unset logscale y
    set yrange [0:100]
    set format y "%.0f %%"
    set ylabel i == 1 ? "counted FLOPs, of the sgemm rate" : ""
    set xlabel "width d"
    plot for [v in versions] (has(v, T) ? data : "/dev/null") using (column("dim")):(100 * row(v, T, "sgemm_fraction")) \
      with linespoints lw 2.2 lc rgb colour(v) pt point(v) ps 1.1 dt dash(v) notitle
  }
  unset multiplot
  set key
}

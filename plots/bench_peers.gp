# Training beside PyTorch: tokens a second, and how many times faster, for every version; all in turn in one run.
#   gnuplot -e "out='runs/bench/bench_peers'" plots/bench_peers.gp      reads out.tsv, writes out.png, out.svg
here = system(sprintf("dirname '%s'", ARG0))
load here."/common.gp"
if (!exists("out")) out = "runs/bench/bench_peers"
data = out.".tsv"
versions = versions_in(data)
made = made_by(data)
n = words(versions)
# The sizes in order, "64/256" for d=64, T=256; the peers, "torch 1.13|tuned".
sizes = system(sprintf("awk -F'\\t' '!/^#/ && $1 != \"label\" && !seen[$2 \"/\" $3]++ {print $2 \"/\" $3}' '%s' | sort -t/ -k1,1n -k2,2n", data))
peers = system(sprintf("awk -F'\\t' '!/^#/ && $1 != \"label\" && $8 != \"absent\" && !seen[$8 \"|\" $9]++ {print $8 \"|\" $9}' '%s' | tr ' ' '_'", data))
place(d, T) = sum [i = 1:words(sizes)] (word(sizes, i) eq d."/".T ? i : 0)
cut(p) = strstrt(p, "|")
shown(p) = sprintf("PyTorch %s %s", p[7:cut(p) - 1], p[cut(p) + 1:] eq "tuned" ? "tuned" : "as it is")
name(s) = system(sprintf("printf %%s '%s' | tr ' ' '_'", s))
is(v, p) = strcol("label") eq v && strcol("peer") eq spaced(p[1:cut(p) - 1]) && strcol("setting") eq spaced(p[cut(p) + 1:])
spaced(s) = strstrt(s, "_") ? s[1:strstrt(s, "_") - 1]." ".spaced(s[strstrt(s, "_") + 1:]) : s
greys = "#b0b0b0 #606060 #CC79A7 #7B3294"
marks = "4 5 6 7"

do for [format in "png svg"] {
  if (format eq "png") { set terminal pngcairo size 1400,820 font "sans,12" } else { set terminal svg size 1400,820 font "sans,13" }
  set output out.".".format
  set multiplot layout 2,n title "A training step on MQAR beside PyTorch, on the same cores, in turn" font ",16" offset 0,-0.3 \
    margins 0.06,0.985,0.2,0.88 spacing 0.045,0.09
  set label 1 made at screen 0.02,0.04 noenhanced font ",9" textcolor rgb "#707070"
  set xrange [0.4:words(sizes) + 0.6]
  set xtics () rotate by 60 right
  do for [i = 1:words(sizes)] { set xtics add (word(sizes, i) i) }
  set key bottom left
  do for [v in versions] {
    set title v offset 0,-0.6
    set logscale y
    set yrange [100:200000]
    set ytics auto
    set format y "%.0s%c"
    set ylabel v eq word(versions, 1) ? "tokens a second" : ""
    plot data using (place(strcol("dim"), strcol("seq"))):(strcol("label") eq v ? column("ours") : NaN) with points pt 13 ps 1.6 \
      lc rgb colour(v) title "Aviary", \
      for [i = 1:words(peers)] data using (place(strcol("dim"), strcol("seq"))):(is(v, word(peers, i)) ? column("theirs") : NaN) \
      with points pt int(word(marks, i)) ps 1.2 lc rgb word(greys, i) title shown(spaced(word(peers, i)))
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
    plot 1 with lines lc rgb "#404040" dt 2 notitle, \
      for [i = 1:words(peers)] data using (place(strcol("dim"), strcol("seq"))):(is(v, word(peers, i)) ? column("ratio") : NaN) \
      with points pt int(word(marks, i)) ps 1.2 lc rgb word(greys, i) notitle
  }
  unset multiplot
  set key
  unset xlabel
}

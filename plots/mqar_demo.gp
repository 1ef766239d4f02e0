# MQAR demo: accuracy against examples seen, and the accuracy at the end.
#   gnuplot -e "out='runs/mqar_demo/mqar_demo'" plots/mqar_demo.gp      reads out.tsv, writes out.png, out.svg
here = system(sprintf("dirname '%s'", ARG0))
load here."/common.gp"
if (!exists("out")) out = "runs/mqar_demo/mqar_demo"
data = out.".tsv"
versions = versions_in(data)
made = made_by(data)

do for [format in "png svg"] {
  if (format eq "png") { set terminal pngcairo size 1400,620 font "sans,12" } else { set terminal svg size 1400,620 font "sans,13" }
  set output out.".".format
  set multiplot layout 1,2 title "RWKV on multi-query associative recall: the same examples, the same budget" \
    font ",16" offset 0,-0.3 margins 0.065,0.985,0.235,0.87 spacing 0.085
  set label 1 made at screen 0.03,0.06 noenhanced font ",9" textcolor rgb "#707070"
  set yrange [0:1.07]
  set ytics 0.2
  set format y "%.1f"
  set ylabel "accuracy on held-out examples" offset 0.5,0
  set xlabel "examples seen" offset 0,0.4
  set xrange [0:*]
  set format x "%.0f"
  plot for [v in versions] data using (strcol("label") eq v ? column("examples") : NaN):(column("accuracy")) \
    with linespoints lw 2.2 lc rgb colour(v) pt point(v) ps 1.1 dt dash(v) title v
  unset label 1
  unset key
  set ylabel "accuracy at the end"
  set xlabel "version, and its state in floats per sequence" offset 0,-0.9
  set xrange [-0.6:words(versions)-0.4]
  set xtics () 
  do for [i = 1:words(versions)] {
    v = word(versions, i)
    size_ = system(sprintf("awk -F'\\t' '$1==\"%s\" {s=$8} END {print s}' '%s'", v, data))
    set xtics add (sprintf("%s\n%s", v, size_) i - 1)
  }
  last(v) = real(system(sprintf("awk -F'\\t' '$1==\"%s\" {a=$3} END {print a}' '%s'", v, data)))
  set boxwidth 0.7
  plot for [i = 1:words(versions)] "+" using (i - 1):(last(word(versions, i))) every ::0::0 with boxes lc rgb colour(word(versions, i)) notitle, \
    for [i = 1:words(versions)] "+" using (i - 1):(last(word(versions, i)) + 0.03):(sprintf("%.2f", last(word(versions, i)))) every ::0::0 with labels font ",11" notitle
  unset multiplot
  set key
  set xtics auto
}

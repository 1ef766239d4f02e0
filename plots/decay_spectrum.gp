# Decays of every layer in increasing order: official initial values, and small models after training.
#   gnuplot -e "out='runs/decay_spectrum/decay_spectrum'" plots/decay_spectrum.gp      reads out.figure.tsv, writes out.png, .svg, .pdf
here = system(sprintf("dirname '%s'", ARG0))
load here."/common.gp"
if (!exists("out")) out = "runs/decay_spectrum/decay_spectrum"
data = out.".figure.tsv"
made = made_by(data)."\nCircles: part below 0.1, median, part above 0.9 of layers 0, 6 and 11, from the initialisation as RWKV-4's code has it [C]. ". \
  "Grey line: RWKV-7's lower bound exp(-e^{-1/2}) [T]"
versions = versions_in(data)
width = system(sprintf("sed -n '2s/^[^;]*d=\\([0-9]*\\);.*/\\1/p' '%s'", data))
n = words(versions)
# The columns of the table: label part seed layer layers channel decay low high initial
where(part, v, l) = sprintf("< awk -F'\\t' -v OFS='\\t' '$1 == \"%s\" && $2 == \"%s\" && $4 == %d' '%s'", v, part, l, data)
first_seed(part, v, l) = sprintf("< awk -F'\\t' -v OFS='\\t' '$1 == \"%s\" && $2 == \"%s\" && $3 == 0 && $4 == %d' '%s'", v, part, l, data)
layers(part) = int(system(sprintf("awk -F'\\t' '$2 == \"%s\" {print $5; exit}' '%s'", part, data)))
seeds(v) = system(sprintf("awk -F'\\t' '$1 == \"%s\" && $2 == \"trained\" && !seen[$3]++ {print $3}' '%s'", v, data))
one(v, s, l) = sprintf("< awk -F'\\t' -v OFS='\\t' '$1 == \"%s\" && $2 == \"trained\" && $3 == %s && $4 == %d' '%s'", v, s, l, data)
part_of(l, L) = L > 1 ? 0.88 * l / (L - 1) : 0
set palette defined (0 '#440154', 0.25 '#3b528b', 0.5 '#21918c', 0.75 '#5ec962', 1 '#fde725') # viridis: its light end is left out
unset colorbox
$formula << END
0.36	0.1	0
0.5	0.40	0
0.78	0.9	0
0.20	0.1	0.48
0.5	0.87	0.48
0.53	0.9	0.48
0.15	0.1	0.88
0.41	0.9	0.88
0.5	0.95	0.88
END

do for [format in "png svg pdf"] {
  eval picture(format, 1500, 860)
  set output out.".".format
  set multiplot layout 2,n title "What a channel keeps from one token to the next, e^w, layer by layer" font ",16" offset 0,-0.3 \
    margins 0.055,0.985,0.165,0.885 spacing 0.03,0.1
  eval "set label 1 made at screen 0.02,0.06 ".small_print
  set xrange [0:1]
  set xtics 0.25
  set format x "%g"
  set format y "%g"
  set yrange [-0.02:1.02]
  set cbrange [0:1]
  L = layers("initial")
  do for [i = 1:n] {
    v = word(versions, i)
    set title v offset 0,-0.6
    set ylabel i == 1 ? sprintf("e^w at the start, %d layers, d=%s", L, width) : ""
    set key bottom right reverse Left samplen 1.4 spacing 1
    plot (v eq "v7" ? exp(-exp(-0.5)) : NaN) with lines lc rgb "#b0b0b0" lw 1.2 notitle, \
      for [l = 0:L - 1] where("initial", v, l) using 6:7 with lines lw 1.6 lc palette cb part_of(l, L) \
        title (i == 1 && (l == 0 || l == L / 2 || l == L - 1) ? sprintf("layer %d", l) : ""), \
      $formula using 1:(v eq "v4" ? $2 : NaN) with points pt 6 ps 1.3 lw 1.2 lc rgb "#707070" notitle
    unset label 1
  }
  L = layers("trained")
  set xlabel "channels in the order of their decay" offset 0,0.3
  do for [i = 1:n] {
    v = word(versions, i)
    set title ""
    set ylabel i == 1 ? "after training, and where it started" : ""
    set style fill transparent solid 0.18 noborder
    plot (v eq "v7" ? exp(-exp(-0.5)) : NaN) with lines lc rgb "#b0b0b0" lw 1.2 notitle, \
      for [l = 0:L - 1] first_seed("trained", v, l) using 6:8:9 with filledcurves fc palette cb part_of(l, L) notitle, \
      for [l = 0:L - 1] first_seed("trained", v, l) using 6:10 with lines lw 1 dt 3 lc palette cb part_of(l, L) notitle, \
      for [s in seeds(v)] for [l = 0:L - 1] one(v, s, l) using 6:7 with lines lw 1.8 lc palette cb part_of(l, L) \
        title (i == 1 && s == 0 ? sprintf("layer %d", l) : ""), \
      NaN with lines lw 1 dt 3 lc rgb "#404040" title (i == 2 ? "at the start" : ""), \
      NaN with lines lw 1.8 lc rgb "#404040" title (i == 2 ? "mean over tokens" : ""), \
      NaN with filledcurves fc rgb "#404040" title (i == 2 ? "10 to 90 % of tokens" : "")
  }
  unset multiplot
}

# Decays of every layer in increasing order: official initial values, and small models after training.
#   gnuplot -e "out='runs/decay_spectrum/decay_spectrum'" plots/decay_spectrum.gp      reads out.figure.tsv, writes out.png, .svg, .pdf
if (!exists("out")) out = "runs/decay_spectrum/decay_spectrum"
load ARG0[1:strlen(ARG0) - strlen("decay_spectrum.gp")]."common.gp"
file = out.".figure.tsv"
eval read("$data")
eval cells("versions", "$data", "label")
n = words(versions)
eval cells_where("tried", "$data", "seed", "strcol('part') eq 'trained'")
made = made_by($data[1], $data[2]). \
  said("Circles: part below .1, median and part above .9 of layers 0, 6 and 11, computed from the official code of RWKV-4. Grey line: ". \
  "RWKV-7's lower bound exp(-e^{-1/2}), from its paper. Below: each line one seed of ".sprintf("%d", words(tried)). ". It proves the ". \
  "initial values; so short a training says little of large models.")
# What stands in the second line between the first "d=" and the ";" after it
width = comment($data[2])
width = strstrt(width, "d=") ? width[strstrt(width, "d=") + 2:*] : ""
width = strstrt(width, ";") ? width[1:strstrt(width, ";") - 1] : ""
array seeds[n]
do for [i = 1:n] {
  v = word(versions, i)
  eval cells_where("list", "$data", "seed", "strcol('label') eq v && strcol('part') eq 'trained'")
  seeds[i] = list
}
eval largest_where("initial", "layers", 1, "strcol('part') eq 'initial'")
eval largest_where("trained", "layers", 1, "strcol('part') eq 'trained'")
# The curve that a row belongs to, found once: the table is long.
key(part, v, s, l) = part."|".v."|".s."|".l
key_of(row) = key(strcol("part"), strcol("label"), strcol("seed"), strcol("layer"))
array curve[|$data|]
curves = ""
stats $data using (curves = with(curves, key_of(0)), curve[$0 + 1] = place(curves, key_of(0)), 0) nooutput
x(c) = curve[$0 + 1] == c ? $6 : NaN
part_of(l, L) = L > 1 ? 0.88 * l / (L - 1) : 0
set palette defined (0 '#440154', 0.25 '#3b528b', 0.5 '#21918c', 0.75 '#5ec962', 1 '#fde725') # viridis: its light end is left out
unset colorbox
$formula << END
x	decay	layer
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

do for [format in kinds("png svg pdf")] {
  eval picture(format, 1500, 860)
  set output out.".".format
  set multiplot layout 2,n title "What a channel keeps from one token to the next, e^w, layer by layer" font ",16" offset 0,-0.3 \
    margins 0.055,0.985,0.165,0.885 spacing 0.03,0.1
  eval "set label 1 made at screen 0.02,0.068 ".small_print
  set xrange [0:1]
  set xtics 0.25
  set format x "%g"
  set format y "%g"
  set yrange [-0.02:1.02]
  set cbrange [0:1]
  L = initial
  do for [i = 1:n] {
    v = word(versions, i)
    set title drawn(v) noenhanced offset 0,-0.6
    set ylabel i == 1 ? sprintf("e^w at the start, %d layers, d=%s", L, width) : ""
    set key bottom right reverse Left samplen 1.4 spacing 1
    plot (v eq "v7" ? exp(-exp(-0.5)) : NaN) with lines lc rgb "#b0b0b0" lw 1.2 notitle, \
      for [l = 0:L - 1] c = place(curves, key("initial", v, "0", l)) $data using (x(c)):7 with lines lw 1.6 lc palette cb part_of(l, L) \
        title (i == 1 && (l == 0 || l == L / 2 || l == L - 1) ? sprintf("layer %d", l) : ""), \
      for [k = 1:v eq "v4"] $formula using 1:2 with points pt 6 ps 1.3 lw 1.2 lc rgb "#707070" notitle
    unset label 1
  }
  L = trained
  set xlabel "channels in the order of their decay" offset 0,0.3
  do for [i = 1:n] {
    v = word(versions, i)
    set title ""
    set ylabel i == 1 ? "after training, and where it started" : ""
    set style fill transparent solid 0.18 noborder
    plot (v eq "v7" ? exp(-exp(-0.5)) : NaN) with lines lc rgb "#b0b0b0" lw 1.2 notitle, \
      for [l = 0:L - 1] c = place(curves, key("trained", v, "0", l)) $data using (x(c)):8:9 \
        with filledcurves fc palette cb part_of(l, L) notitle, \
      for [l = 0:L - 1] c = place(curves, key("trained", v, "0", l)) $data using (x(c)):10 \
        with lines lw 1 dt 3 lc palette cb part_of(l, L) notitle, \
      for [s in seeds[i]] for [l = 0:L - 1] c = place(curves, key("trained", v, s, l)) $data using (x(c)):7 \
        with lines lw 1.8 lc palette cb part_of(l, L) title (i == 1 && s eq "0" ? sprintf("layer %d", l) : ""), \
      NaN with lines lw 1 dt 3 lc rgb "#404040" title (i == 2 ? "at the start" : ""), \
      NaN with lines lw 1.8 lc rgb "#404040" title (i == 2 ? "mean over tokens" : ""), \
      NaN with filledcurves fc rgb "#404040" title (i == 2 ? "10 to 90 % of tokens" : "")
  }
  unset multiplot
}

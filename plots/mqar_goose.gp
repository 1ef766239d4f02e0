# How much a state of RWKV-7 holds: bits recalled an entry of the state against bits asked for. Seeds as points, their median as a
# line for each size of the state; the published table lightly.
#   gnuplot -e "out='runs/mqar_goose/mqar_goose'" plots/mqar_goose.gp   reads out.figure.tsv, writes out.png, .svg, .pdf
if (!exists("out")) out = "runs/mqar_goose/mqar_goose"
load ARG0[1:strlen(ARG0) - strlen("mqar_goose.gp")]."common.gp"
file = out.".figure.tsv"
eval read("$data")
file = here."published/mqar_goose.tsv"
eval read("$published")
eval largest("runs", "runs", 1)
made = made_by($data[1], $data[2]). \
  said("Points: ".seeds(runs)."; lines: their median. A pair is worth 2 log2(V/2) bits. Published: 64 epochs, arXiv:2503.14456 (the ". \
    "highest point a summary, the others recalled)."). \
  said("It shows what states recall after so many examples: a lower bound of what they can hold, not the bound itself.")
eval numbers("sizes", "$data", "wkv_entries")
hue(i) = one_of("#E69F00 #D55E00 #8c3d00 #333333", i)
is(i) = column("wkv_entries") == real(word(sizes, i))

do for [format in kinds("png svg pdf")] {
  eval picture(format, 1000, 760)
  set output out.".".format
  set title "What a state of RWKV-7 holds: recall of key-value pairs, in bits" font ",16" offset 0,0.4
  set lmargin at screen 0.115; set rmargin at screen 0.975; set bmargin at screen 0.225
  eval "set label 1 made at screen 0.02,0.11 ".small_print
  set logscale xy 2
  set xrange [0.025:0.8]
  set yrange [0.005:0.8]
  set xtics (0.03125, 0.0625, 0.125, 0.25, 0.5)
  set ytics (0.0078125, 0.015625, 0.03125, 0.0625, 0.125, 0.25, 0.5)
  set format "%.3g"
  set xlabel "bits asked for, an entry of the state" offset 0,0.3
  set ylabel "bits recalled, an entry of the state"
  set key top left Left reverse samplen 2
  plot x with lines lw 1 lc rgb "#b0b0b0" title "everything is recalled", \
    $published using (column("bits") / column("accuracy")):(column("bits")) with points pt 4 ps 1.2 lw 1.5 lc rgb "#909090" \
      title "published: 8192 to 32768 entries", \
    for [i = 1:words(sizes)] $data using (column("asked") * (1 + 0.03 * (i - (words(sizes) + 1) / 2.0))): \
      (is(i) ? column("asked") * column("value") : NaN) with points pt 6 ps 0.9 lw 1.4 lc rgb hue(i) notitle, \
    for [i = 1:words(sizes)] $data using (column("asked")):(is(i) ? column("asked") * column("median") : NaN) \
      with lines lw 2.4 lc rgb hue(i) notitle, \
    for [i = 1:words(sizes)] NaN with linespoints lw 2.4 pt 6 lc rgb hue(i) title "ours: ".drawn(word(sizes, i))." entries"
}

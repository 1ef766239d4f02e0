# Where a pair is kept until it is asked for: which part of the state, put right after which token, brings the right answer back.
#   gnuplot -e "out='runs/causal_trace/causal_trace'" plots/causal_trace.gp   reads out.figure.tsv, writes out.png, .svg, .pdf
if (!exists("out")) out = "runs/causal_trace/causal_trace"
load ARG0[1:strlen(ARG0) - strlen("causal_trace.gp")]."common.gp"
file = out.".figure.tsv"
eval read("$data")
eval cells("models", "$data", "label")
eval numbers("seeds", "$data", "seed")
eval largest("layers", "layer", 1)
eval largest("last", "after", 0)
made = made_by($data[1], $data[2]). \
  said("Cells: probability of the right value, in percent, in a run that saw another value and is given this part of the right run's state. ". \
  "Above: of the right run, of the other one. It shows where small models keep a pair, not where large ones keep facts.")
n = words(models)
m = words(seeds)
parts = "shift memory ffn_shift"
part_names = "'token shift' 'memory' 'channel mixing'"
row(layer, part) = 3 * (layer - 1) + place(parts, part)
of(v, s) = strcol("label") eq v && column("seed") == real(s) ? 1 : NaN
percent(x) = abs(x) < 1e3 ? sprintf("%.0f", 100 * x) : "?"
array clean[n * m]
array wrong[n * m]
do for [i = 1:n] { do for [j = 1:m] {
  clean[n * (j - 1) + i] = NaN
  wrong[n * (j - 1) + i] = NaN
  stats $data using (of(word(models, i), word(seeds, j)) == 1 ? \
    (clean[n * (j - 1) + i] = column("clean"), wrong[n * (j - 1) + i] = column("wrong"), 0) : 0) nooutput
} }

do for [format in kinds("png svg pdf")] {
  eval picture(format, 325 + 220 * n, 260 + (70 + 62 * layers) * m)
  set output out.".".format
  left = 215.0 / (325 + 220 * n)
  high = 260.0 + (70 + 62 * layers) * m
  set multiplot layout m,n title "Where a pair is kept until it is asked for: one part of the state is put right after one token" \
    font ",16" offset 0,-0.3 margins left,0.9,150 / high,1 - 95 / high spacing 0.015,62 / high
  eval "set label 1 made at screen 0.015,62 / high ".small_print
  set palette defined (0 "#f7f7f4", 0.5 "#7fb5d5", 1 "#08457e")
  set cbrange [0:1]
  set format cb "%.1f"
  set xrange [-1.5:last + 0.5]
  set yrange [3 * layers + 0.5:0.5]
  set xtics -1,1,last scale 0
  unset key
  unset grid
  do for [j = 1:m] { do for [i = 1:n] {
    v = word(models, i)
    k = n * (j - 1) + i
    set title sprintf("%s%s: %s and %s %%", drawn(v), m == 1 ? "" : ", seed ".word(seeds, j), percent(clean[k]), percent(wrong[k])) noenhanced \
      offset 0,-0.7 font ",11"
    if (i == 1) { set ytics () scale 0; do for [l = 1:layers] { do for [p = 1:3] {
      set ytics add (sprintf("layer %d: %s", l, word(part_names, p)) 3 * (l - 1) + p)
    } } } else { unset ytics }
    set xlabel j == m ? "tokens after the value" : "" offset 0,0.5
    if (k == n * m) { set colorbox user origin 0.915,150 / high size 0.012,1 - 245 / high; set cblabel "probability of the right value" \
      offset 0.5,0 } else { unset colorbox }
    plot $data using (column("after") * of(v, word(seeds, j))):(row(column("layer"), strcol("restored"))):(column("mean")) \
        with image notitle, \
      $data using (column("after") * of(v, word(seeds, j))):(row(column("layer"), strcol("restored"))): \
        (percent(column("mean"))):(column("mean") > 0.6 ? 0xffffff : 0x404040) with labels font ",8" tc rgb variable notitle
    unset label
  } }
  unset multiplot
  set grid ytics
  set key
}

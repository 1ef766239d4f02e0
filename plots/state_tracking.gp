# Word problems: how many layers a model needs for words of a length, a panel a group.
#   gnuplot -e "out='runs/state_tracking/state_tracking'" plots/state_tracking.gp  reads out.figure.tsv, writes out.png, .svg, .pdf
if (!exists("out")) out = "runs/state_tracking/state_tracking"
load ARG0[1:strlen(ARG0) - strlen("state_tracking.gp")]."common.gp"
file = out.".figure.tsv"
eval read("$data")
made = made_by($data[1], $data[2])
eval cells("models", "$data", "label")
eval cells("names", "$data", "group")
eval cells("lengths", "$data", "prefix")
eval largest("deepest", "layers", 1)
eval largest("longest", "prefix", 1)
n = words(names)
# Of every model, group and length: the part of words right with the best number of layers; the fewest layers with more than
# 90 % of the words right, or deepest + 1 if there are none.
array right[1 + words(models) * n * words(lengths)] # the first: of rows without a name
array needed[|right|]
do for [i = 1:|right|] { right[i] = -1; needed[i] = deepest + 1 }
slot(model, name, length) = model * name * length ? model + 1 + words(models) * (name - 1 + n * (length - 1)) : 1
array at[|$data|] # the slot of a row
stats $data using (at[$0 + 1] = slot(place(models, strcol("label")), \
  place(names, strcol("group")), place(lengths, strcol("prefix"))), 0) nooutput
stats $data using (right[at[$0 + 1]] = larger(right[at[$0 + 1]], column("mean")), 0) nooutput
stats $data using (column("mean") > 0.9 ? (needed[at[$0 + 1]] = -larger(-needed[at[$0 + 1]], -column("layers")), 0) : 0) nooutput
of(v, g) = strcol("label") eq v && strcol("group") eq g ? column("prefix") : NaN

do for [format in kinds("png svg pdf")] {
  eval picture(format, n == 1 ? 1140 : 300 + 420 * n, 930)
  set output out.".".format
  set multiplot layout 2,n title "Word problems of groups: state tracking" font ",16" offset 0,-0.3 \
    margins 0.085,0.985,0.175,0.89 spacing 0.06,0.1
  eval "set label 1 made at screen 0.02,0.085 ".small_print
  eval "set label 2 'Published: an RNN needs one layer for all groups and lengths; transformers and Mamba more for longer words of A5 ".\
    "(arXiv:2404.08819);\nRWKV-7 fewer than those (arXiv:2503.14456).' at screen 0.02,0.032 ".small_print
  set key bottom left
  do for [i = 1:n] {
    g = word(names, i)
    set title drawn(g).": words right, the best number of layers" noenhanced
    set yrange [-0.03:1.06]
    set format y "%.1f"
    set xrange [0.5:longest + 0.5]
    set xtics 1, 1
    set xlabel ""
    set ylabel i == 1 ? "words right up to this length" : ""
    plot for [v in models] $data using (of(v, g)):(right[at[$0 + 1]]) smooth unique \
      with linespoints lw 2.2 pt point(v) ps 1.1 dt dash(v) lc rgb colour(v) title (i == 1 ? drawn(v) : "")
    unset label
    unset key
  }
  do for [i = 1:n] {
    g = word(names, i)
    set title drawn(g).": layers for more than 90 % of the words" noenhanced offset 0,-0.4
    set yrange [0.6:deepest + 1.5]
    set ytics 1
    do for [k = 1:int(deepest)] {set ytics add (sprintf("%d", k) k)}
    set ytics add ("more" deepest + 1)
    set xlabel "length of the words"
    set ylabel i == 1 ? "layers" : ""
    plot for [k = 1:words(models)] v = word(models, k) \
      $data using (of(v, g) + 0.08 * (k - 2)):(needed[at[$0 + 1]] + 0.06 * (k - 2)) smooth unique \
      with linespoints lw 2.2 pt point(v) ps 1.1 dt dash(v) lc rgb colour(v) notitle
  }
  unset multiplot
}

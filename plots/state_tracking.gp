# Word problems: how many layers a model needs for words of a length, a panel a group.
#   gnuplot -e "out='runs/state_tracking/state_tracking'" plots/state_tracking.gp  reads out.figure.tsv, writes out.png, .svg, .pdf
here = system(sprintf("dirname '%s'", ARG0))
load here."/common.gp"
if (!exists("out")) out = "runs/state_tracking/state_tracking"
data = out.".figure.tsv"
made = made_by(data)
models = values_in(data, "label")
names = values_in(data, "group")
deepest = real(system(sprintf("awk -F'\\t' '!/^#/ && $3 + 0 > d {d = $3 + 0} END {print d}' '%s'", data)))
longest = real(system(sprintf("awk -F'\\t' '!/^#/ && $4 + 0 > d {d = $4 + 0} END {print d}' '%s'", data)))
# lines "length layers": the fewest layers with more than 90 % of the words right; deepest + 1 if there is none
needed(v, g) = sprintf("< awk -F'\\t' -v none=%d '$1 == \"%s\" && $2 == \"%s\" {if (!($4 in m)) m[$4] = none; \
if ($5 > 0.9 && $3 < m[$4]) m[$4] = $3} END {for (t in m) print t \"\\t\" m[t]}' '%s' | sort -n", deepest + 1, v, g, data)
words_right(v, g) = sprintf("< awk -F'\\t' '$1 == \"%s\" && $2 == \"%s\" {if (!($4 in m) || $5 > m[$4]) m[$4] = $5} \
END {for (t in m) print t \"\\t\" m[t]}' '%s' | sort -n", v, g, data)
n = words(names)

do for [format in "png svg pdf"] {
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
    set title g.": words right, the best number of layers"
    set yrange [-0.03:1.06]
    set format y "%.1f"
    set xrange [0.5:longest + 0.5]
    set xtics 1, 1
    set xlabel ""
    set ylabel i == 1 ? "words right up to this length" : ""
    plot for [v in models] words_right(v, g) using 1:2 with linespoints lw 2.2 pt point(v) ps 1.1 dt dash(v) lc rgb colour(v) \
      title (i == 1 ? v : "")
    unset label
    unset key
  }
  do for [i = 1:n] {
    g = word(names, i)
    set title g.": layers for more than 90 % of the words" offset 0,-0.4
    set yrange [0.6:deepest + 1.5]
    set ytics 1
    do for [k = 1:int(deepest)] {set ytics add (sprintf("%d", k) k)}
    set ytics add ("more" deepest + 1)
    set xlabel "length of the words"
    set ylabel i == 1 ? "layers" : ""
    plot for [k = 1:words(models)] needed(word(models, k), g) using ($1 + 0.08 * (k - 2)):($2 + 0.06 * (k - 2)) \
      with linespoints lw 2.2 pt point(word(models, k)) ps 1.1 dt dash(word(models, k)) lc rgb colour(word(models, k)) notitle
  }
  unset multiplot
}

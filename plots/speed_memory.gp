# Time of recurrences, attention and selective scan against the length of a sequence, and what they hold of memory.
#   gnuplot -e "out='runs/speed_memory/speed_memory'" plots/speed_memory.gp   reads out.figure.tsv, writes out.png, .svg, .pdf
if (!exists("out")) out = "runs/speed_memory/speed_memory"
load ARG0[1:strlen(ARG0) - strlen("speed_memory.gp")]."common.gp"
file = out.".figure.tsv"
eval read("$data")
file = here."published/speed_memory.tsv"
eval read("$published")
made = made_by($data[1], $data[2])
eval cells("models", "$data", "label")
n = words(models)
eval largest("longest", "T", 1)
row(part, v, pass, what) = strcol("part") eq part && strcol("label") eq v && strcol("pass") eq pass ? column(what) : NaN
# In units of one tensor: a number a token and channel. Published are GB of bfloat16 at batch 8, 16384 tokens, width 4096.
in_tensors = 1e9 / (8.0 * 16384 * 4096 * 2)

# What the key says of a model: its exponent, and from where on it is faster than attention (0: from the first length on).
found(v, pass, what) = largest_where("number", what, -1, \
  sprintf("strcol('part') eq 'growth' && strcol('label') eq '%s' && strcol('pass') eq '%s'", v, pass))
said(v) = sprintf("%s: T^%.2f%s", drawn(v), exponent, crossing > 0 ? sprintf(", from %.0f tokens on", crossing) : \
  crossing == 0 ? ", from the first length on" : "")
array entries[2 * n]
do for [k = 1:2] {
  do for [i = 1:n] {
    eval found(word(models, i), word("forward both", k), "exponent")
    exponent = number
    eval found(word(models, i), word("forward both", k), "crossing")
    crossing = number
    entries[(k - 1) * n + i] = said(word(models, i))
  }
}

do for [format in kinds("png svg pdf")] {
  eval picture(format, 1560, 690)
  set output out.".".format
  set multiplot layout 1,3 title "What reads a sequence, alone: time and memory against its length" font ",16" offset 0,-0.3
  eval "set label 1 made at screen 0.02,0.115 ".small_print
  eval "set label 2 'Dots: each try; lines: their median. v4, v6, v7: their recurrences; mamba: selective scan. ".\
    "Exponents: least squares, upper half of the lengths.\n".\
    "Proves how the kernels here grow and where they cross; not what those of a GPU do, nor whole layers, whose linear maps cost as T.\n".\
    "Published on an A100, 16384 tokens: attention about 800 ms, Mamba 250, Finch 185; crossing about 4000 (memory: arXiv:2404.05892, Figures 6, 7; live tensors: arXiv:2503.14456).' at screen 0.02,0.05 ".\
    small_print
  set bmargin at screen 0.25; set tmargin at screen 0.86
  set logscale xy
  set format x "%.0f"
  set format y "10^{%T}"
  set xrange [*:1.05 * longest] noextend
  set key bottom right Left reverse samplen 2 font ",10" title "growth; faster than attention" left font ",10" width -4
  set xlabel "T, tokens" offset 0,0.4
  do for [k = 1:2] {
    pass = word("forward both", k)
    set lmargin at screen (k == 1 ? 0.05 : 0.385); set rmargin at screen (k == 1 ? 0.345 : 0.68)
    set title k == 1 ? "forward" : "forward and backward" offset 0,-0.6
    set ylabel k == 1 ? "seconds" : ""
    set xtics ("64" 64, "256" 256, "1k" 1024, "4k" 4096, "16k" 16384, "65k" 65536)
    set yrange [3e-6:*]
    plot for [v in models] $data using (column("T")):(row("try", v, pass, "seconds")) with points pt 7 ps 0.3 lc rgb colour(v) notitle, \
      for [i = 1:n] v = word(models, i) $data using (column("T")):(row("time", v, pass, "seconds")) \
        with linespoints lw 2 lc rgb colour(v) pt point(v) ps 0.9 dt dash(v) title entries[(k - 1) * n + i]
    unset label
  }
  unset logscale
  set lmargin at screen 0.735; set rmargin at screen 0.985
  set title "memory: numbers a token and channel" offset 0,-0.6
  set ylabel ""
  set xlabel ""
  set format y "%.0f"
  set xrange [-0.7:n - 0.3]
  set yrange [0:40]
  set xtics () rotate by -35 left noenhanced font ",11"
  set boxwidth 0.36
  set key top left Left reverse samplen 1.5 font ",10" title ""
  plot for [i = 1:n] "+" using (i - 1):(-9):xtic(drawn(word(models, i))) every ::0::0 with dots notitle, \
    for [i = 1:n] v = word(models, i) $data using (i - 1.2):(row("memory", v, "forward", "tensors")) with boxes lc rgb light(v) notitle, \
    for [i = 1:n] v = word(models, i) $data using (i - 0.8):(row("memory", v, "both", "tensors")) with boxes lc rgb colour(v) notitle, \
    keyentry with boxes lc rgb "#c0c0c0" title "forward alone", \
    keyentry with boxes lc rgb "#606060" title "forward and backward", \
    $published using (place(models, strcol("label")) - 0.8):(column("seq") == 16384 ? column("memory_gb") * in_tensors : NaN) \
      with points pt 4 ps 1.4 lw 1.6 lc rgb "#909090" title "published memory in such tensors", \
    $published using (place(models, strcol("label")) - 0.8):(column("tensors")) \
      with points pt 2 ps 1.4 lw 1.6 lc rgb "#909090" title "published live tensors"
  unset multiplot
  set xtics norotate
}

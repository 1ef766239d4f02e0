# Seconds and memory of generating a text, against its tokens.
#   gnuplot -e "out='runs/generation_cost/generation_cost'" plots/generation_cost.gp   reads out.figure.tsv, writes out.png, .svg, .pdf
if (!exists("out")) out = "runs/generation_cost/generation_cost"
load ARG0[1:strlen(ARG0) - strlen("generation_cost.gp")]."common.gp"
file = out.".figure.tsv"
eval read("$data")
made = made_by($data[1], $data[2])
eval cells_where("carried", "$data", "label", "column('cache') == 1")
eval cells_where("whole", "$data", "label", "column('cache') == 0")
n = words(carried)
m = words(whole)
row(v, cache, part, what) = strcol("label") eq v && column("cache") == cache && strcol("part") eq part ? column(what) : NaN

# The models, and those without a cache after them: what the key says of each.
name_of(i) = i <= n ? word(carried, i) : word(whole, i - n)
cache_of(i) = i <= n
array entries[n + m]
do for [i = 1:n + m] {
  eval largest_where("exponent", "exponent", -1, \
    sprintf("strcol('part') eq 'growth' && strcol('label') eq '%s' && column('cache') == %d", name_of(i), cache_of(i)))
  entries[i] = sprintf("%s%s: T^%.2f", drawn(name_of(i)), cache_of(i) ? "" : " without cache", exponent)
}
eval largest("tries", "try", 1)
eval largest("longest", "tokens", 1)
stroke(i) = cache_of(i) ? dash(name_of(i)) : 3

do for [format in kinds("png svg pdf")] {
  eval picture(format, 1560, 690)
  set output out.".".format
  set multiplot layout 1,3 title "Generating a text: a straight line against a curve" font ",16" offset 0,-0.3
  eval "set label 1 made at screen 0.02,0.115 ".small_print
  eval "set label 2 'Thick: the median of the tries, thin: each. Exponents: least squares over the second half of the tokens. ".\
    "Without cache: a pass over the whole text for every token.\n".\
    "Proves the shapes, for small models on a CPU; where lines cross depends on width and machine. ".\
    "Published (A100, 3B, to 1000 tokens): RWKV-4 straight to 10-15 s,\ntransformers curved to 45-65 s.' at screen 0.02,0.055 ".\
    small_print
  set bmargin at screen 0.25; set tmargin at screen 0.86
  set xlabel "T, tokens generated" offset 0,0.4
  do for [k = 1:3] {
    set lmargin at screen (k == 1 ? 0.05 : k == 2 ? 0.385 : 0.735); set rmargin at screen (k == 1 ? 0.335 : k == 2 ? 0.67 : 0.985)
    set title k == 1 ? "seconds since the first token" : k == 2 ? "the same, logarithmic" : "memory carried from token to token" \
      offset 0,-0.6
    set ylabel k == 3 ? "bytes" : k == 1 ? "seconds" : ""
    if (k > 1) { set logscale xy; set format y "10^{%T}" }
    if (k == 3) { set yrange [100:*] }
    set format x "%.0f"
    if (k == 1) { set xtics longest / 4 } else { set logscale x 4; set xtics autofreq }
    unset key
    if (k == 2) { set key bottom right Left reverse samplen 2 font ",10" width -6 }
    if (k == 3) { set key top left Left reverse samplen 2 }
    if (k < 3) {
      plot for [t = 1:int(tries < 20 ? tries : 20)] for [i = 1:n + m] $data \
          using (column("tokens")):(column("try") == t ? row(name_of(i), cache_of(i), "try", "seconds") : NaN) \
          with lines lw 0.6 lc rgb light(name_of(i)) notitle, \
        for [i = 1:n + m] $data using (column("tokens")):(row(name_of(i), cache_of(i), "median", "seconds")) \
          with lines lw 2.4 lc rgb colour(name_of(i)) dt stroke(i) title entries[i]
    } else {
      plot for [i = 1:n] $data using (column("tokens")):(row(name_of(i), 1, "median", "state_bytes")) \
        with lines lw 2.4 lc rgb colour(name_of(i)) dt stroke(i) title drawn(name_of(i))
    }
    unset label
  }
  unset multiplot
  unset logscale
  set yrange [*:*]
  set format y
}

# What RWKV-1 weighs: the learned weight of each distance, a panel a layer, a line a head.
#   gnuplot -e "out='runs/position_curves/position_curves'" plots/position_curves.gp   reads out.figure.tsv, writes out.png, .svg, .pdf
if (!exists("out")) out = "runs/position_curves/position_curves"
load ARG0[1:strlen(ARG0) - strlen("position_curves.gp")]."common.gp"
file = out.".figure.tsv"
eval read("$data")
eval largest("layers", "layer", 1)
eval largest("heads", "head", 1)
eval largest("far", "distance", 1)
eval largest("most", "weight", 1)
eval numbers("seeds", "$data", "seed")
made = made_by($data[1], $data[2]). \
  said("Lines: heads, of the first seed of ".sprintf("%d", words(seeds)).". Published, in the repository of RWKV v1 (2021, read off its ". \
  "picture, larger models): flat between .6 and 1.2, peaks of 1.5 to 3.1 within the last 15 tokens, dips to .3 to .5 near 200 to 230.")
panels = layers + 1 # the first one: at the start
columns = panels < 3 ? panels : 3
lines = (panels + columns - 1) / columns
set palette defined (0 '#440154', 0.25 '#3b528b', 0.5 '#21918c', 0.75 '#5ec962', 1 '#fde725') # viridis: its light end is left out
set cbrange [1:1 + (heads - 1) / 0.88]
unset colorbox
curve_x(k, h) = (k == 0 ? strcol("when") eq "start" : strcol("when") eq "trained" && column("layer") == k && \
  column("seed") == real(word(seeds, 1))) && column("head") == h ? column("distance") + 1 : NaN

do for [format in kinds("png svg pdf")] {
  eval picture(format, 110 + 400 * columns, 190 + 280 * lines)
  set output out.".".format
  high = 190.0 + 280 * lines
  set multiplot layout lines,columns title "What RWKV-1 weighs: the learned weight of each distance" font ",16" offset 0,-0.3 \
    margins 0.06,0.985,130 / high,1 - 85 / high spacing 0.05,80 / high
  eval "set label 1 made at screen 0.015,56 / high ".small_print
  set logscale x 2
  set xrange [1:far + 1]
  set xtics (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
  set yrange [*<0:1.05 * most]
  set format y "%g"
  set key bottom left Left reverse samplen 1 font ",10"
  do for [k = 0:layers] {
    set title (k == 0 ? "at the start, all layers" : sprintf("layer %d, trained", k)) offset 0,-0.6
    set xlabel (k + columns > layers ? "distance, 1: the token itself" : "") offset 0,0.4
    set ylabel (k % columns == 0 ? "weight" : "") offset 1.5,0
    plot for [h = 1:heads] $data using (curve_x(k, h)):(column("weight")):(h) with lines lw 1.4 palette \
      title (k == 0 ? sprintf("head %d", h) : "")
    unset label
  }
  unset multiplot
}

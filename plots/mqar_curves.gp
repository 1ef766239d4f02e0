# Recall against examples seen, the mean over seeds, the lowest and the highest as dots: what mqar_decay.gp, mqar_gating.gp
# and mqar_init.gp have in common. Reads out.figure.tsv, writes out.png, .svg, .pdf.
load ARG0[1:strlen(ARG0) - strlen("mqar_curves.gp")]."common.gp"
file = out.".figure.tsv"
eval read("$data")
eval largest("runs", "runs", 1)
eval largest("seen", "examples", 1)
made = made_by($data[1], $data[2]). \
  said("Line: mean of ".seeds(runs).(runs == 1 ? "" : runs == 2 ? "; dots: the two" : "; dots: lowest and highest"). ". At one ". \
  "learning rate and so few examples this shows who learns first, not who can learn it and who cannot.")
subject = comment($data[2])
stop = strstrt(subject, ". ")
eval cells("models", "$data", "label")
hue(i) = colour(word(models, i))
is(i) = strcol("label") eq word(models, i)

do for [format in kinds("png svg pdf")] {
  eval picture(format, 1000, 620)
  set output out.".".format
  set title (stop ? subject[1:stop - 1] : subject).": recall" noenhanced font ",15"
  set lmargin at screen 0.085; set rmargin at screen 0.77; set bmargin at screen 0.215
  eval "set label 1 made at screen 0.02,0.075 ".small_print
  set key at screen 0.79,0.88 left top Left reverse samplen 2 spacing 1.3
  set xrange [0:seen]
  set yrange [0:1.05]
  set format y "%.1f"
  set xlabel "examples seen" offset 0,0.4
  set ylabel "accuracy on held-out examples"
  plot for [bound in "low high"] for [i = 1:words(models)] $data using (is(i) ? column("examples") : NaN):(runs > 1 ? column(bound) : NaN) \
      with points pt 7 ps 0.45 lc rgb hue(i) notitle, \
    for [i = 1:words(models)] $data using (column("examples")):(is(i) ? column("mean") : NaN) \
      with linespoints lw 2.2 pt point(word(models, i)) ps 1 dt dash(word(models, i)) lc rgb hue(i) title drawn(word(models, i))
}

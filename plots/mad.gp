# MAD: accuracy by model, a panel a task: bars the median of the seeds, points the seeds, light bars what is published.
#   gnuplot -e "out='runs/mad/mad'" plots/mad.gp    reads out.figure.tsv, writes out.png, .svg, .pdf
if (!exists("out")) out = "runs/mad/mad"
load ARG0[1:strlen(ARG0) - strlen("mad.gp")]."common.gp"
file = out.".figure.tsv"
eval read("$data")
file = here."published/mad.tsv"
eval read("$published")
made = made_by($data[1], $data[2])
eval cells("models", "$data", "label")
eval cells("tasks", "$data", "task")
eval largest("seeds", "runs", 1)
n = words(models)
panels = words(tasks)
columns = panels < 3 ? panels : 3
rows = (panels + columns - 1) / columns
is(v, task) = strcol("label") eq v && strcol("task") eq task
named(task) = task eq "recall" ? "in-context recall" : task eq "noisy_recall" ? "noisy recall" : task eq "fuzzy_recall" ? "fuzzy recall" : \
  task eq "selective_copying" ? "selective copying" : drawn(task)
note = sprintf("Dark: ours, the median of %d seed%s (dots: each seed). Light: published (v7: arXiv:2503.14456, the others: arXiv:2406.06484): d=128, "\
  ."200 passes over the\n12,800 examples, the best of 6 settings, mean over a task's harder variants. So no number is comparable, only who is "\
  ."ahead of whom. It shows who learns a\ntask soonest at this size: who is low here may only be slow.", seeds, seeds == 1 ? "" : "s")

do for [format in kinds("png svg pdf")] {
  height = 150 + 285 * rows
  eval picture(format, 160 + 420 * columns, height)
  set output out.".".format
  set multiplot layout rows,columns title "MAD: six abilities, a small task each" font ",16" offset 0,-0.3 \
    margins 0.05,0.985,190.0 / height,1 - 75.0 / height spacing 0.045,110.0 / height
  eval "set label 1 made at screen 0.012,112.0 / height ".small_print
  eval "set label 2 note at screen 0.012,52.0 / height ".small_print
  set yrange [0:1.06]
  set ytics 0.2
  set format y "%.1f"
  set xrange [-0.6:n - 0.4]
  set xtics () rotate by -35 left noenhanced font ",10" scale 0
  set boxwidth 0.4
  unset key
  do for [k = 1:panels] {
    task = word(tasks, k)
    set title named(task) noenhanced offset 0,-0.6
    set ylabel (k - 1) % columns == 0 ? "accuracy, held out" : ""
    eval cells_where("told", "$published", "label", "strcol('task') eq task && place(models, strcol('label'))")
    plot for [i = 1:n] "+" using (i - 1):(-9):xtic(drawn(word(models, i))) every ::0::0 with dots, \
      for [i = 1:n] $data using (is(word(models, i), task) ? i - 1.21 : NaN):(column("median")) with boxes lc rgb colour(word(models, i)), \
      for [m in told] $published using (is(m, task) ? place(models, m) - 0.79 : NaN):(column("accuracy")) with boxes lc rgb light(m), \
      for [i = 1:n] $data using (is(word(models, i), task) ? i - 1.21 : NaN):(column("value")) with points pt 6 ps 0.9 lw 1.4 lc rgb "#202020"
    unset label
  }
  unset multiplot
  set xtics norotate
}

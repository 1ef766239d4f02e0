# A needle in a haystack: accuracy by length and depth, a panel a model.
#   gnuplot -e "out='runs/longctx_recall/longctx_recall'" plots/longctx_recall.gp  reads out.figure.tsv, writes out.png, .svg, .pdf
if (!exists("out")) out = "runs/longctx_recall/longctx_recall"
load ARG0[1:strlen(ARG0) - strlen("longctx_recall.gp")]."common.gp"
file = out.".figure.tsv"
eval read("$data")
eval largest("runs", "runs", 1)
made = made_by($data[1], $data[2]). \
  said("Cells: answers right in percent, mean of ".seeds(runs).". It shows how far small models keep what they were asked for in ". \
  "training; not how far large ones do, trained on text. Who did not learn the task at the length of training says nothing of longer ". \
  "texts.")
eval cells("models", "$data", "label")
eval numbers("lengths", "$data", "length")
eval numbers("depths", "$data", "depth")
eval largest("trained", "seq", 1)
n = words(models)
rows = (n + 5) / 6
columns = (n + rows - 1) / rows
of(v, x) = strcol("label") eq v ? x : NaN
which(length) = sum [i = 1:words(lengths)] (real(word(lengths, i)) == length ? i : 0)
step = 1.0 / (words(depths) - 1)
# Answers right at the length of training, the mean over depths.
array learned[n]
do for [i = 1:n] {
  v = word(models, i)
  known = 0
  count = 0
  stats $data using (strcol("label") eq v && column("length") == trained && column("accuracy") >= 0 ? \
    (known = known + column("accuracy"), count = count + 1, 0) : 0) nooutput
  learned[i] = count ? known / count : 0
}

do for [format in kinds("png svg pdf")] {
  eval picture(format, 190 + 260 * columns, 220 + 300 * rows)
  set output out.".".format
  set multiplot layout rows,columns title sprintf("A needle in a haystack: trained at %d tokens, asked at up to 16 times as many", trained) \
    font ",16" offset 0,-0.3 margins 0.07,0.9,0.3/rows,1 - 0.17/rows spacing 0.02,0.2
  eval "set label 1 made at screen 0.015,0.1/rows ".small_print
  set palette defined (0 "#f7f7f4", 0.5 "#7fb5d5", 1 "#08457e")
  set cbrange [0:1]
  set cbtics 0.2
  set format cb "%.1f"
  set xrange [0.5:words(lengths) + 0.5]
  set yrange [1 + step / 2:-step / 2] # the start of the text is at the top
  set ytics 0.25
  set xtics () scale 0
  do for [i = 1:words(lengths)] { set xtics add (word(lengths, i) i) }
  unset key
  unset grid
  do for [i = 1:n] {
    v = word(models, i)
    set title drawn(v) noenhanced offset 0,-0.6
    if ((i - 1) % columns == 0) { set ylabel "depth of the needle (0: at the start)" offset 0.5,0; set format y "%.2f" } \
    else { unset ylabel; set format y "" }
    set xlabel "length of the text, tokens" offset 0,0.4
    if (i == n) { set colorbox user origin 0.915,0.3/rows size 0.012,1 - 0.47/rows; set cblabel "answers right" offset 0.5,0 } \
    else { unset colorbox }
    if (learned[i] < 0.05) {
      set label 2 sprintf("did not learn\nthe task at %d tokens", trained) at graph 0.5, 0.55 center front \
        font ",12" textcolor rgb "#a3261c"
    }
    plot $data using (of(v, which(column("length")))):(column("depth")):(column("accuracy")) with image notitle, \
      $data using (of(v, which(column("length")))):(column("depth")):(learned[i] < 0.05 ? "" : sprintf("%.0f", 100 * column("accuracy"))): \
        (column("accuracy") > 0.6 ? 0xffffff : 0x404040) with labels font ",8" tc rgb variable notitle
    unset label
  }
  unset multiplot
  set grid ytics
  set key
}

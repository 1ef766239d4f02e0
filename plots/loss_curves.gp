# Loss against what a model has seen: seeds as points, their median as a line. What small_init.gp and loss_by_version.gp have in
# common: they load it in place of common.gp, say what curve k is of 1 to count, and draw by eval curves. of(k): the row belongs to
# curve k; across: the column on the x axis; hue(k), broken(k), called(k): colour, dash and name of the curve.
load ARG0[1:strlen(ARG0) - strlen("loss_curves.gp")]."common.gp"
file = out.".figure.tsv"
eval read("$data")
made = made_by($data[1], $data[2])
curves = "plot for [k = 1:count] $data using (of(k) ? column(across) : NaN):(column('value')) with points pt 7 ps 0.3 ". \
  "lc rgb hue(k) notitle, for [k = 1:count] $data using (of(k) ? column(across) : NaN):(column('median')) ". \
  "with lines lw 2.2 dt broken(k) lc rgb hue(k) title called(k)"
# How many seeds there are, as the small print says it.
eval numbers("all_seeds", "$data", "seed")
seeds_said = words(all_seeds) == 1 ? "One seed." : sprintf("Points: each of %d seeds, lines: their median.", words(all_seeds))

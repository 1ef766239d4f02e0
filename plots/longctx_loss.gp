# Long texts: loss against the position, a curve a model, solid where the state was carried on while training.
#   gnuplot -e "out='runs/longctx_loss/longctx_loss'" plots/longctx_loss.gp   reads out.figure.tsv, writes out.png, .svg, .pdf
if (!exists("out")) out = "runs/longctx_loss/longctx_loss"
load ARG0[1:strlen(ARG0) - strlen("longctx_loss.gp")]."common.gp"
file = out.".figure.tsv"
eval read("$data")
made = made_by($data[1], $data[2])
eval largest("runs", "runs", 1)
eval largest("trained", "seq", 1)
is(v, c) = strcol("label") eq v && column("carry") == c
eval cells_where("afresh", "$data", "label", "column('carry') == 0")
eval cells_where("carried", "$data", "label", "column('carry') == 1")
eval largest("far", "last", 16)
# The axis leaves out the first positions, where nothing is known yet.
low = 100
stats $data using (low = -larger(-low, -column("loss")), 0) nooutput
published = "Published (a summary of arXiv:2404.05892 Figure 5: PG19, 3B, trained at 4096 tokens, loss a token): v4 rises to about 3.6 from position 10^4 on, v5 and v6 keep falling, to 2.2-2.4.\nLines: ".(runs == 1 ? "one seed" : sprintf("mean of %g seeds", runs)).". A curve that ends at the upper edge goes on above it; attention has no state that could be carried."

do for [format in kinds("png svg pdf")] {
  eval picture(format, 1400, 700)
  set output out.".".format
  set multiplot layout 1,2 title "Byte-level models on a text they have not seen: loss far beyond the training length" \
    font ",16" offset 0,-0.3 margins 0.065,0.985,0.225,0.86 spacing 0.06
  eval "set label 1 made at screen 0.02,0.085 ".small_print
  eval "set label 2 published at screen 0.02,0.04 ".small_print
  set arrow 1 from trained, graph 0 to trained, graph 1 nohead lc rgb "#909090" dt 2
  set label 3 sprintf(" trained at T = %d", trained) at trained, graph 0.03 textcolor rgb "#707070"
  set logscale x 2
  set xrange [8:far]
  set xtics ("8" 8, "32" 32, "128" 128, "512" 512, "2k" 2048, "8k" 8192, "32k" 32768, "128k" 131072)
  set yrange [floor(low * 10 - 0.5) / 10.0 : low + 1.3]
  set format y "%.1f"
  set xlabel "position in the document, bytes" offset 0,0.4
  set key top right Left reverse samplen 2.5
  do for [k = 0:1] {
    set title k == 0 ? "Every example from an empty state" : "The state carried on while training" offset 0,-0.6
    set ylabel k == 0 ? "loss, nats a byte" : ""
    models = k == 0 ? afresh : carried
    plot for [v in models] $data using (column("position")):(is(v, k) ? column("loss") - column("stderr") : NaN): \
        (column("loss") + column("stderr")) with filledcurves lc rgb light(v) fs transparent solid 0.12 notitle, \
      for [v in models] $data using (column("position")):(is(v, k) ? column("loss") : NaN) \
        with linespoints lw 2 lc rgb colour(v) pt point(v) ps 0.8 dt dash(v) title drawn(v)
    unset label 1
    unset label 2
  }
  unset multiplot
  unset arrow
}

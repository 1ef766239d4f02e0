# Writing and reading text with a model of 0.1B parameters: tokens a second, for every version and number type.
#   gnuplot -e "out='runs/bench/decode'" plots/bench_decode.gp      reads out.tsv and prefill.tsv beside it, writes out.png, .svg
here = system(sprintf("dirname '%s'", ARG0))
load here."/common.gp"
if (!exists("out")) out = "runs/bench/decode"
made = made_by(out.".tsv")
beside = system(sprintf("dirname '%s'", out))."/prefill.tsv"

do for [format in "png svg"] {
  if (format eq "png") { set terminal pngcairo size 1200,520 font "sans,12" } else { set terminal svg size 1200,520 font "sans,13" }
  set output out.".".format
  set multiplot layout 1,2 title "A model of 0.1B parameters on one thread" font ",16" offset 0,-0.3 \
    margins 0.07,0.985,0.2,0.86 spacing 0.09
  set label 1 made at screen 0.02,0.05 noenhanced font ",9" textcolor rgb "#707070"
  set yrange [0:*]
  set boxwidth 0.7
  set ylabel "tokens a second"
  do for [i = 1:2] {
    file = i == 1 ? out.".tsv" : beside
    set title i == 1 ? "decode: one token after the other (over the bars: part of the read bandwidth)" : "prefill: 512 tokens at once"
    count = int(system(sprintf("awk '!/^#/' '%s' | wc -l", file))) - 1
    set xrange [-0.6:(count > 0 ? count : 1)-0.4]
    versions = versions_in(file)
    plot for [v in versions] file using 0:(strcol("label") eq v ? column("tokens_per_s") : NaN):xtic(strcol("label")." ".strcol("dtype")) \
      with boxes lc rgb colour(v) notitle, \
      (i == 1 ? file : "/dev/null") using 0:(column("tokens_per_s")):(sprintf("%.0f %%", 100 * column("bandwidth_fraction"))) \
      with labels offset 0,0.7 notitle
    unset label 1
  }
  unset multiplot
}

# RWKV-7 without one of its parts.
#   gnuplot -e "out='runs/v7_ablation/v7_ablation'" plots/v7_ablation.gp
if (!exists("out")) out = "runs/v7_ablation/v7_ablation"
heading = "What the parts of RWKV-7 are worth on text"
proves = "Points: seeds; bar: their median. Diamonds: published (arXiv:2503.14456 appendix K, as recalled), as many percent above our ".\
  "first arm's median.\nProves what the parts are worth at this size and length of training; not that they are worth the same in ".\
  "large models."
limits = "1"
table = "v7_ablation.tsv"
load ARG0[1:strlen(ARG0) - strlen("v7_ablation.gp")]."loss_arms.gp"

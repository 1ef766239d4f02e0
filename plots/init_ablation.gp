# Token shift and initial values, one thing changed in each arm.
#   gnuplot -e "out='runs/init_ablation/init_ablation'" plots/init_ablation.gp
if (!exists("out")) out = "runs/init_ablation/init_ablation"
heading = "What token shift and the official initial values are worth on text"
proves = "Points: seeds; bar: their median; ▸: beyond the edge. Published as claims without numbers (code and README of ".\
  "BlinkDL/RWKV-LM, arXiv:2305.13048).\nProves what each choice is worth in a short training of a small model with 256 tokens; not ".\
  "what is left of it after a long one."
limits = "0.12 0.12"
load ARG0[1:strlen(ARG0) - strlen("init_ablation.gp")]."loss_arms.gp"

# What differences of public ports of RWKV-7 cost.
#   gnuplot -e "out='runs/port_gap/port_gap'" plots/port_gap.gp
if (!exists("out")) out = "runs/port_gap/port_gap"
heading = "RWKV-7: what the differences of public ports cost in training"
proves = "Points: seeds; bar: their median; ▸: beyond the edge. A public comparison (YS-Tang/RWKV-FLA-comparison; V=65536, 2000 ".\
  "steps): official 2.965,\nfla's time mixing with the official start 3.018, without 3.670. Proves which differences matter at this ".\
  "size and length of training; kernels and half precision are not in it."
limits = "0.2 0.4 2"
load ARG0[1:strlen(ARG0) - strlen("port_gap.gp")]."loss_arms.gp"

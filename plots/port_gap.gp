# What differences of public ports of RWKV-7 cost.
#   gnuplot -e "out='runs/port_gap/port_gap'" plots/port_gap.gp
if (!exists("out")) out = "runs/port_gap/port_gap"
heading = "RWKV-7: what the differences of public ports cost in training"
proves = "Points: seeds; bar: their median; ▸: beyond the edge. Diamonds: a public comparison (YS-Tang/RWKV-FLA-comparison: V=65536, ".\
  "2000 steps), as many percent above\nour first arm: 3.670 against 2.965 is the second arm by its code; 3.018 has w0 at the single ".\
  "rate, and other kernels. Proves which differences matter at this size\nand length of training; kernels and half precision are ".\
  "not in it."
limits = "0.2 0.4 2"
table = "port_gap.tsv"
beside = 2
load ARG0[1:strlen(ARG0) - strlen("port_gap.gp")]."loss_arms.gp"

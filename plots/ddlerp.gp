# The token shift of RWKV-6 that depends on the token, and without it.
#   gnuplot -e "out='runs/ddlerp/ddlerp'" plots/ddlerp.gp
if (!exists("out")) out = "runs/ddlerp/ddlerp"
heading = "What the token shift that depends on the token (DDLerp) is worth"
proves = "Points: seeds; bar: their median. Diamonds: published (arXiv:2404.05892 Table 19: 6 layers, d=768, one run), as many percent ".\
  "above our first arm's median.\nProves what the parts are worth at this size and length of training; not that they are worth the ".\
  "same in large models."
limits = "1"
table = "ddlerp.tsv"
load ARG0[1:strlen(ARG0) - strlen("ddlerp.gp")]."loss_arms.gp"

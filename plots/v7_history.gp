# From the candidates of RWKV-7 to its release, one change at a time.
#   gnuplot -e "out='runs/v7_history/v7_history'" plots/v7_history.gp
if (!exists("out")) out = "runs/v7_history/v7_history"
heading = "What each change from RWKV-7's first candidate to its release bought"
proves = "Points: seeds; bar: their median. All arms have as many parameters. From the sixth on: the release with one change taken back. ".\
  "Nothing is published.\nProves what the changes are worth at this size and length of training; not that they are worth the same in ".\
  "large models."
limits = "1 1"
load ARG0[1:strlen(ARG0) - strlen("v7_history.gp")]."loss_arms.gp"

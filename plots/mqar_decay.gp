# Recall against examples seen.
#   gnuplot -e "out='runs/mqar_decay/mqar_decay'" plots/mqar_decay.gp
if (!exists("out")) out = "runs/mqar_decay/mqar_decay"
load ARG0[1:strlen(ARG0) - strlen("mqar_decay.gp")]."mqar_curves.gp"

# Recall against examples seen.
#   gnuplot -e "out='runs/mqar_decay/mqar_decay'" plots/mqar_decay.gp
if (!exists("out")) out = "runs/mqar_decay/mqar_decay"
load system(sprintf("dirname '%s'", ARG0))."/mqar_curves.gp"

# Recall against examples seen.
#   gnuplot -e "out='runs/mqar_init/mqar_init'" plots/mqar_init.gp
if (!exists("out")) out = "runs/mqar_init/mqar_init"
load system(sprintf("dirname '%s'", ARG0))."/mqar_curves.gp"

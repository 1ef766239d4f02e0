# Recall against examples seen.
#   gnuplot -e "out='runs/mqar_init/mqar_init'" plots/mqar_init.gp
if (!exists("out")) out = "runs/mqar_init/mqar_init"
load ARG0[1:strlen(ARG0) - strlen("mqar_init.gp")]."mqar_curves.gp"

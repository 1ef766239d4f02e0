# Recall against examples seen.
#   gnuplot -e "out='runs/mqar_gating/mqar_gating'" plots/mqar_gating.gp
if (!exists("out")) out = "runs/mqar_gating/mqar_gating"
load ARG0[1:strlen(ARG0) - strlen("mqar_gating.gp")]."mqar_curves.gp"

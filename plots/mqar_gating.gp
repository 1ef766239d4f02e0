# Recall against examples seen.
#   gnuplot -e "out='runs/mqar_gating/mqar_gating'" plots/mqar_gating.gp
if (!exists("out")) out = "runs/mqar_gating/mqar_gating"
load system(sprintf("dirname '%s'", ARG0))."/mqar_curves.gp"

-- aviary help: the commands.
print [[
aviary verify WEIGHTS GOLDEN [--tol X]   compare a model with golden numbers, gradients included
aviary info [MODEL]                      the versions, or what a model file is
aviary help                              this list]]

#!/bin/sh
# What each kernel takes, as the assembler of CUDA reported it when `make cuda` compiled them: a table of them all in
# DIR/kernels.tsv, and the most of each file on the standard output. Status 1 if one spills registers.
#   sh ref/cuda/resources.sh build/cuda
dir=$1
for report in "$dir"/f32/*.ptxas "$dir"/f64/*.ptxas; do
  precision=$(basename "$(dirname "$report")")
  awk -v precision="$precision" -v file="$(basename "$report" .o.ptxas)" -v OFS='\t' '
    /Compiling entry function/ {split($0, q, "\047"); name = q[2]; device = q[4]}
    /bytes stack frame/ {stack = $1; spills = $5 + $9}
    /Used [0-9]+ registers/ {
      match($0, /Used [0-9]+/); registers = substr($0, RSTART + 5, RLENGTH - 5)
      shared = match($0, /[0-9]+ bytes smem/) ? substr($0, RSTART, RLENGTH) + 0 : 0
      if (name != "") print precision, file, name, device, registers, shared, stack, spills
      name = ""
    }' "$report"
done | c++filt | sed 's/(.*)\t/\t/' | { printf 'precision\tfile\tkernel\tdevice\tregisters\tshared_bytes\tstack_bytes\tspill_bytes\n'
  LC_ALL=C sort; } >"$dir/kernels.tsv"
awk -F '\t' -v OFS='\t' 'NR > 1 {
    key = $1 OFS $2; n[key]++
    if ($5 + 0 > registers[key]) registers[key] = $5 + 0
    if ($6 + 0 > shared[key]) shared[key] = $6 + 0
    spills[key] += $8
  }
  END {for (key in n) print key, n[key], registers[key], shared[key], spills[key]}' "$dir/kernels.tsv" | LC_ALL=C sort |
  awk -F '\t' 'BEGIN {printf "%-10s%-20s%8s%10s%14s%8s\n", "precision", "file", "kernels", "registers", "shared bytes", "spills"}
    {printf "%-10s%-20s%8d%10d%14d%8d\n", $1, $2, $3, $4, $5, $6}'
echo "All kernels: $dir/kernels.tsv"
! awk -F '\t' 'NR > 1 && $8 > 0 {print "spills registers: " $1 " " $2 " " $3 " on " $4 ": " $8 " bytes"}' "$dir/kernels.tsv" | grep .

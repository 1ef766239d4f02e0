#!/bin/sh
# Builds the modules cuda.so and cuda64.so in a folder, with nvcc and its C compiler alone: where the archive of `make dist`
# is unpacked, there is no make. In a checkout it is `make cuda`.
#   sh ref/cuda/build.sh FOLDER
to=$1 from=$(cd "$(dirname "$0")/.." && pwd)
nvcc=${NVCC:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}
[ -x "$nvcc" ] || { echo 'there is no nvcc: NVCC=PATH says where it is' >&2; exit 1; }
[ -d "$to" ] && [ -w "$to" ] || { echo "$to: not a folder that can be written" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cuda=$(dirname "$(dirname "$nvcc")")

# One line a compilation: what is compiled as what, with which precision.
for f in "$from"/cuda/*.cu; do
  printf '%s\n' "$f" "$work/$(basename "$f" .cu).o" '' "$f" "$work/$(basename "$f" .cu).64.o" -DAVIARY_DOUBLE
done >"$work/list"
echo "nvcc compiles $(($(wc -l <"$work/list") / 3)) files; it takes a minute or some"
export nvcc from
compile() {
  "$nvcc" $(cat "$from/cuda/flags") -I"$from" -I"$from/cuda" $3 -c "$1" -o "$2" >"$2.log" 2>&1 || cat "$2.log" >&2
}
running=0 most=$(nproc)
while read -r f && read -r o && read -r define; do
  compile "$f" "$o" "$define" &
  running=$((running + 1))
  [ $((running % most)) = 0 ] && wait
done <"$work/list"
wait

for n in '' 64; do
  set --
  for f in backend_layout k_broadcast; do
    ${CC:-cc} -std=c11 -D_GNU_SOURCE -O2 -fPIC -fvisibility=hidden -I"$from" ${n:+-DAVIARY_DOUBLE} \
      -c "$from/engine/$f.c" -o "$work/$f$n.o" || exit 1
    set -- "$@" "$work/$f$n.o"
  done
  for f in "$from"/cuda/*.cu; do set -- "$@" "$work/$(basename "$f" .cu)${n:+.64}.o"; done
  "$nvcc" -shared "$@" -lcublas -Xlinker -zdefs -Xlinker "-rpath=$cuda/lib64" -o "$to/cuda$n.so.new" &&
    mv "$to/cuda$n.so.new" "$to/cuda$n.so" || exit 1
done
echo "the modules: $to/cuda.so, $to/cuda64.so"

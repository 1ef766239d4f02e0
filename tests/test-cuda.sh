#!/bin/sh
# Everything that is tried on a real device, in less than eight minutes; SKIPPED where there is none.
#   sh tests/test-cuda.sh [build]     in a checkout: `make test-cuda` builds what it needs, in f32/ and f64/ there
#   sh test-cuda.sh                   where the archive of `make dist` is unpacked
here=$(cd "$(dirname "$0")" && pwd)
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
began=$(date +%s) failed=0

# ---- where things are ----

# tool NAME 32|64 ARGUMENTS..: one of the test programs, in that precision. $watched stands in front of it.
if [ -f "$here/lib/loader" ]; then
  golden=$here/golden/official modules=$here/lib
  libraries=$modules:$LD_LIBRARY_PATH:/usr/local/cuda/lib64:/usr/lib64:/usr/lib/wsl/lib
  module() { echo "$modules/cuda${1#32}.so"; }
  tool() {
    tool=$here/lib/$1${2#32} made_for=$(module "$2")
    shift 2
    $watched "$here/lib/loader" --inhibit-cache --library-path "$libraries" "$tool" --module "$made_for" "$@"
  }
  aviary() { "$here/bin/aviary" "$@"; }
else
  build=${1:-build} golden=tests/golden
  module() { echo "$build/f$1/cuda.so"; }
  tool() {
    tool=$build/f$2/tests/$1 made_for=$(module "$2")
    shift 2
    $watched "$tool" --module "$made_for" "$@"
  }
  aviary() { "$build/f32/aviary" "$@"; }
fi
watched=

# ---- whether there is a device ----

skip() {
  echo "SKIPPED: $*"
  exit 0
}
# In the archive a module may be missing, or be made for other libraries than there are.
if [ -n "$modules" ] && command -v "${NVCC:-nvcc}" >/dev/null; then
  tool test_cuda 32 --devices >"$logs/devices" 2>&1
  case $? in 0 | 3) ;; *) sh "$here/share/aviary/ref/cuda/build.sh" "$modules" || exit 1 ;; esac
fi
for n in 32 64; do
  [ -f "$(module $n)" ] || skip "there is no module $(module $n); \`make cuda\` builds it where nvcc is"
  tool test_cuda $n --devices >"$logs/devices" 2>&1
  status=$?
  [ $status = 3 ] || grep -q 'cannot open shared object file' "$logs/devices" && skip "$(tail -1 "$logs/devices")"
  [ $status = 0 ] || { echo "FAILED   $(module $n): $(tail -3 "$logs/devices")"; exit 1; }
done
cat "$logs/devices"

# ---- steps ----

report() { # LOG NAME STATUS SECONDS
  if [ "$3" = 0 ]; then echo "ok       $2, $4 s"
  else
    echo "FAILED   $2, status $3, $4 s"
    grep -avE '^\[ *(OK|RUN) *\]|^$' "$1" | cut -c -300 | tail -30
    failed=$((failed + 1))
  fi
}
step() { # NAME COMMAND..
  name=$1 start=$(date +%s)
  shift
  "$@" >"$logs/log" 2>&1
  report "$logs/log" "$name" $? $(($(date +%s) - start))
}
# Two commands side by side: most of the time is the reference's, on the processor.
pair() { # NAME 'COMMAND' NAME 'COMMAND'
  start=$(date +%s)
  { eval "$2" >"$logs/one" 2>&1; echo "$? $(date +%s)" >"$logs/status"; } &
  eval "$4" >"$logs/two" 2>&1
  second=$? end=$(date +%s)
  wait
  read -r first first_end <"$logs/status"
  report "$logs/one" "$1" "$first" $((first_end - start))
  report "$logs/two" "$3" $second $((end - start))
}
both() { pair "$1, float32" "tool $2 32" "$1, float64" "tool $2 64"; }

both 'every op against the reference, twice the same bits' test_cuda
both 'training: 200 steps of every version, twice the same bits; shadow mode' test_cuda_train

for w in "$golden"/*.weights.safetensors; do
  v=${w%.weights.safetensors}
  step "official numbers of ${v##*/}, 1e-10" aviary --double --backend cuda verify "$w" "$v.golden.safetensors"
done

# memcheck: no access outside; racecheck: shared memory without a barrier between.
if sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null); then
  watch() { watched="timeout 150 $sanitizer --tool $1 --error-exitcode 9 --target-processes all" && tool test_cuda 32 --small; }
  pair 'compute-sanitizer, memcheck' '(watch memcheck)' 'compute-sanitizer, racecheck' '(watch racecheck)'
else
  echo 'SKIPPED: compute-sanitizer is not here'
fi

echo "$failed failed; $(($(date +%s) - began)) s"
[ $failed = 0 ]

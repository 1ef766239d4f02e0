#!/bin/sh
# Runs every test program and every Lua test in the build trees given, and counts; with T, those whose names contain one
# of its words. Output is shown for failures, and for lines that say what was skipped and why, `SKIPPED: ..`; the last
# lines name what failed and what was skipped.
#   T="wkv files" sh tests/run.sh build/f32 build/f64
unset MAKEFLAGS MFLAGS MAKELEVEL # compilers that tests call are no part of make's jobs (rustc would look for them)
words=$T
unset T
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

asked() { # path
  [ -z "$words" ] && return 0
  for w in $words; do
    case ${1##*/} in *"$w"*) return 0 ;; esac
  done
  return 1
}

# What is around the first failure in the log, or its last lines.
reason() {
  grep -avE '^\[ *(OK|RUN) *\]|^$' "$log" | cut -c -300 >"$log.short"
  grep -a -m 1 -B 3 -A 4 -E 'FAILED|SUMMARY:|runtime error:' "$log.short" || tail -8 "$log.short"
}

run() { # name command...
  name=$1 log=$out/$lane.log began=$(date +%s)
  shift
  "$@" >"$log" 2>&1 </dev/null
  status=$? took="$(($(date +%s) - began)) s"
  if [ "$status" = 0 ]; then
    n=$(grep -c '^\[       OK \]' "$log")
    [ "$n" -gt 0 ] || n=1
    echo "$n 0 $(grep -c '^SKIPPED' "$log")" >>"$out/$lane.counts"
    echo "ok      $name ($n, $took)"
    grep '^SKIPPED' "$log"
    sed -n "s|^SKIPPED:* *|SKIPPED $name: |p" "$log" >>"$out/$lane.skipped"
  else
    echo "0 1 0" >>"$out/$lane.counts"
    echo "FAILED  $name (status $status, $took)"
    tail -60 "$log"
    { echo "FAILED  $name" && reason; } >>"$out/$lane.failed"
  fi
}

# Two lanes at a time: programs keep their files to themselves, scripts write into runs/.
programs() {
  lane=programs
  for tree in "$@"; do
    for t in tests/test_*.c; do
      asked "${t%.c}" && run "$tree/${t%.c}" "$tree/${t%.c}"
    done
  done
}

scripts() {
  lane=scripts
  for tree in "$@"; do
    for t in tests/lua/*.lua; do
      asked "${t%.lua}" && run "$tree/aviary $t" "$tree/aviary" --trust "$t"
    done
    # and on a backend whose memory the process cannot read; in float64 those that ask for it
    case $tree in *64) double='hooks mixers' ;; *) double= ;; esac
    for n in model optimizer session tensor tensor_file packed learn resume mqar $double; do
      t=tests/lua/test_$n.lua
      asked "far_$n" && run "$tree/aviary --backend far.so $t" "$tree/aviary" --backend "./$tree/tests/far.so" --trust "$t"
    done
    # and on a device, as the processor runs it
    for n in model optimizer session tensor packed learn mqar device_reads; do
      t=tests/lua/test_$n.lua
      asked "cuda_$n" && run "$tree/aviary --backend on_host.so $t" "$tree/aviary" --backend "./$tree/tests/on_host.so" --trust "$t"
    done
  done
}

programs "$@" &
scripts "$@"
wait
cat "$out"/*.skipped "$out"/*.failed 2>/dev/null
touch "$out/none.counts"
cat "$out"/*.counts | awk -v words="$words" '
  {passed += $1; failed += $2; skipped += $3}
  END {
    if (!NR) print "no test has a name with a word of: " words
    print passed + 0 " passed, " failed + 0 " failed, " skipped + 0 " skipped"
    exit !NR || failed > 0
  }'

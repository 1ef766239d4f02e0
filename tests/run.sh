#!/bin/sh
# Runs every test program and every Lua test of the build trees given, and counts. Output is shown for
# failures, and for lines that say that something was skipped.
unset MAKEFLAGS MFLAGS MAKELEVEL # compilers that tests call are no part of make's jobs (rustc would look for them)
passed=0 failed=0 skipped=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

run() { # name command...
  name=$1
  shift
  if "$@" >"$log" 2>&1 </dev/null; then
    n=$(grep -c '^\[       OK \]' "$log")
    [ "$n" -gt 0 ] || n=1
    passed=$((passed + n))
    s=$(grep -c -E '^(\[  SKIPPED \]|SKIPPED)' "$log")
    skipped=$((skipped + s))
    echo "ok      $name ($n)"
    grep -E '^SKIPPED' "$log"
  else
    failed=$((failed + 1))
    echo "FAILED  $name"
    tail -60 "$log"
  fi
}

for tree in "$@"; do
  for t in "$tree"/tests/test_*; do
    [ -f "tests/${t##*/}.c" ] || continue # objects, and programs whose source is gone
    run "$t" "$t"
  done
  for t in tests/lua/*.lua; do
    [ -f "$t" ] && run "$tree/aviary $t" "$tree/aviary" --trust "$t"
  done
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]

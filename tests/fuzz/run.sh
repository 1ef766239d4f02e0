#!/bin/sh
# Runs one target of libFuzzer for so many seconds; what it found before is where it begins. Whatever fails is left in
# build/fuzz/NAME.failed; build/fuzz/NAME FILE repeats it.
#   tests/fuzz/run.sh NAME SECONDS [options of libFuzzer]
name=$1 seconds=$2
shift 2
mkdir -p "build/fuzz/$name.seeds" "build/fuzz/$name.found" "build/fuzz/$name.failed"
[ ! -f "tests/fuzz/$name.lua" ] || ./aviary --trust "tests/fuzz/$name.lua" "build/fuzz/$name.seeds" || exit 1
[ ! -f "tests/fuzz/$name.dict" ] || set -- -dict="tests/fuzz/$name.dict" "$@"
"build/fuzz/$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
  -artifact_prefix="build/fuzz/$name.failed/" "$@" "build/fuzz/$name.found" "build/fuzz/$name.seeds" \
  >"build/fuzz/$name.log" 2>&1 || { tail -40 "build/fuzz/$name.log"; echo "FAILED  fuzz-$name"; exit 1; }
sed -n 's/^stat::number_of_executed_units: */fuzz-'"$name"': executions without a fault: /p' "build/fuzz/$name.log"

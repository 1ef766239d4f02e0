#!/bin/sh
# Random programs (tests/fuzz.lua), with little memory and with more, and damaged files (tests/fuzz_files.lua), against build
# trees, for so many seconds in all, which they share.
#   tests/fuzz.sh 60 [SEED] build/asan32 build/asan64
# The first failure ends it, with the command that repeats it.
seconds=$1 seed=$(date +%s) home=$(pwd)
case $2 in build*) shift ;; *) seed=$2 && shift 2 ;; esac
share=$((seconds / (2 * $#)))

run() { # tree first last memory script
  command="$home/$1/aviary --output . --max-memory $4 --max-seconds 600 $home/tests/$5 $seed $2 $3"
  $command >log 2>&1 && ! grep -a 'illegal value' log && return
  tail -60 log
  echo "FAILED in $1/fuzz: $command"
  exit 1
}

fuzz() { # tree script step memory.. : runs until its share of the time is used
  tree=$1 script=$2 step=$3 first=1 end=$(($(date +%s) + share))
  shift 3
  while [ "$(date +%s)" -lt "$end" ]; do
    for memory in "$@"; do
      run "$tree" "$first" $((first + step - 1)) "$memory" "$script"
      first=$((first + step))
    done
  done
  echo "$((first - 1)) of $script, seed $seed, on $tree"
}

for tree in "$@"; do
  mkdir -p "$home/$tree/fuzz" && cd "$home/$tree/fuzz" || exit 1
  "$home/$tree/aviary" --trust "$home/tests/fuzz.lua" >methods || exit 1
  fuzz "$tree" fuzz.lua 50 24M 64M 512M
  fuzz "$tree" fuzz_files.lua 500 512M
done

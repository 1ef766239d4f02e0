#!/bin/sh
# Random programs (tests/fuzz.lua) against a build tree for so many seconds, with little memory and with more.
#   tests/fuzz.sh build/asan64 60 [SEED]
# The first failure ends it, with the command that repeats it.
tree=$1 end=$(($(date +%s) + $2)) seed=${3:-$(date +%s)}
home=$(pwd)
mkdir -p "$tree/fuzz" && cd "$tree/fuzz" || exit 1
"$home/$tree/aviary" --trust "$home/tests/fuzz.lua" >methods || exit 1
first=1
while [ "$(date +%s)" -lt "$end" ]; do
  for memory in 24M 64M 512M; do
    last=$((first + 49))
    command="$home/$tree/aviary --output . --max-memory $memory --max-seconds 600 $home/tests/fuzz.lua $seed $first $last"
    $command >log 2>&1 && ! grep -a 'illegal value' log || {
      tail -60 log
      echo "FAILED in $tree/fuzz: $command"
      exit 1
    }
    first=$((last + 1))
  done
done
echo "$((first - 1)) programs of seed $seed on $tree"

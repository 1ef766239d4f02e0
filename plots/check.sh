#!/bin/sh
# Whether the data in plots/ is what its scripts make now: a part of each table is made again and compared (--check of every
# experiment). A line a table; exit status 1 if one differs, or could not be made.
#   sh plots/check.sh JOBS NAME..
if [ "$1" != --one ]; then
  jobs=$1 && shift
  rm -rf runs/check && mkdir -p runs/check || exit 1
  echo "$# figures, $jobs at a time; what the scripts say is in runs/check/NAME.log"
  printf '%s\n' "$@" | xargs -P "$jobs" -n 1 sh "$0" --one
  status=$?
  [ "$status" = 0 ] || { [ "$status" = 124 ] && echo stopped || echo 'not all of them agree'; exit 1; }
  exit 0
fi

name=$2 log=runs/check/$2.log table=plots/$2.tsv
[ -f "$table" ] || table=plots/$2.figure.tsv
if [ ! -f "experiments/$name.lua" ]; then
  echo "$name failed: there is no experiments/$name.lua"
  exit 1
fi
if [ ! -f "$table" ]; then
  echo "$name not checked: there is no data of it in plots/"
  exit 0
fi
line=$(./aviary --threads 1 "experiments/$name.lua" --check "$table" 2>"$log")
status=$?
[ "$status" -lt 128 ] || exit 255 # xargs begins no other one
if [ -z "$line" ]; then
  echo "$name failed: $(tail -n 1 "$log")"
  exit 1
fi
commit=${line##* made by }
ago=$(git -C "$(dirname "$(realpath experiments)")" rev-list --count "${commit%+}..HEAD" 2>/dev/null)
echo "$line, ${ago:-?} commits ago"
exit "$status"

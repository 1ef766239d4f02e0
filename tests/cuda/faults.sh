#!/bin/sh
# Plants the faults of faults.tsv in copies of the device's kernels, one at a time: a test must find each of them. A line has,
# with tabs between:
#   what it is    the file of ref/cuda that is edited    what is compiled then    the test that must fail    an edit, of sed
# A fault that is not found is a hole in the tests; an edit that changes nothing belongs to code that is no longer there.
#   make cuda-faults [T=barrier], which gives CXX, FLAGS, CC, OBJECTS (all of test_cuda) and LIBS
build=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
found=0 bad=0 number=0
total=$(grep -vc '^#' tests/cuda/faults.tsv)
failed() { echo "FAILED  $*"; bad=$((bad + 1)); }
tab=$(printf '\t')

plant() { # FILE COMPILED EDIT: in $work/test, or why not in $work/log
  rm -rf "$work/ref" "$work/test" "$work/log"
  mkdir "$work/ref" && cp -r ref/cuda "$work/ref/cuda" && ln -s "$PWD/ref/engine" "$work/ref/engine" || return 1
  sed -i -e "$3" "$work/ref/cuda/$1" 2>"$work/log" || return 1
  ! cmp -s "ref/cuda/$1" "$work/ref/cuda/$1" || { echo 'the edit changes nothing' >"$work/log"; return 1; }
  others=
  for o in $OBJECTS; do case $o in "$build/ref/cuda/${2%.cu}.o") ;; *) others="$others $o" ;; esac; done
  # what the copy includes stands beside it, and so does what is edited
  $CXX $(echo "$FLAGS" | sed "s|-Iref/cuda|-I$work/ref/cuda|") -w -MF /dev/null -x c++ -c "$work/ref/cuda/$2" -o "$work/fault.o" \
    >"$work/log" 2>&1 && $CC $others "$work/fault.o" $LIBS -o "$work/test" >"$work/log" 2>&1
}

while IFS=$tab read -r what file compiled test edit; do
  case $what in '#'* | '') continue ;; esac
  number=$((number + 1))
  case $what in *"$T"*) ;; *) continue ;; esac
  [ -t 2 ] && printf '\r\033[Kfault %d of %d: %s\r' "$number" "$total" "$what" >&2
  if ! plant "$file" "$compiled" "$edit"; then
    failed "$what: $file: $(tail -3 "$work/log" 2>/dev/null)"
    continue
  fi
  timeout 120 "$work/test" "$test" >"$work/log" 2>&1
  status=$?
  if grep -q 'Running 0 test' "$work/log"; then failed "$what: there is no test $test"
  elif [ $status = 0 ]; then failed "$what: $file: '$test' does not find it"
  else
    found=$((found + 1))
    said=$(grep -aE 'differs|kernel |was written|exception|ERROR: |runtime error' "$work/log" | head -1 | sed 's/^\[[^]]*\] *//' | cut -c -110)
    echo "found   $what: ${said:-status $status}"
  fi
done <tests/cuda/faults.tsv
echo "$found of $number faults found"
[ $bad = 0 ]

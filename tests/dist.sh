#!/bin/sh
# The archive of `make dist` in a root that holds nothing else, no /proc, no shell, no library of the system; with /proc; and
# on an emulated processor that has only what all have.
#   sh tests/dist.sh ARCHIVE
archive=$1
PATH=$PATH:/usr/sbin:/sbin
[ -f "$archive" ] || { echo "$archive is not there (\`make dist\` makes it)" >&2; exit 1; }
if [ "$2" != within ]; then # a space of mounts that end with it, if there can be one; root without that; or nothing
  for way in 'unshare -m' 'unshare -rm' env; do
    $way chroot / /bin/true 2>/dev/null && exec $way sh "$0" "$archive" within
  done
  echo 'SKIPPED: an empty root needs root, or `unshare -r`, which this system does not allow'
  exit 0
fi

failed=0
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir "$root/a b" "$root/dev" "$root/proc" "$root/work"
tar -xzf "$archive" -C "$root/a b" --strip-components=1 || exit 1
: >"$root/dev/null" # what workers read
ln -s '../a b/bin/aviary' "$root/work/link"
ln -s 'a b' "$root/here"

# check NAME STATUS TEXT COMMAND..: the command in the root ends so, and says this. Standard output is in $root/out.
check() {
  name=$1 status=$2 text=$3
  shift 3
  env -i PATH='/a b/bin' "$(command -v chroot)" "$root" "$@" >"$root/out" 2>"$root/err" </dev/null
  found=$?
  if [ $found = "$status" ] && cat "$root/out" "$root/err" | grep -qF -- "$text"; then echo "[       OK ] $name"
  else
    echo "[  FAILED  ] $name: status $found, expected $status and '$text' in"
    tail -n 20 "$root/out" "$root/err"
    failed=1
  fi
}

run_all() {
  check 'the program says what it is' 0 'float32' 'a b/bin/aviary' --version
  check 'by PATH' 0 'aviary golden diff' aviary help
  check 'by a link' 0 'float64' work/link --double -e 'print(require "rwkv".precision)'
  check 'a page' 0 'Your CI in ten lines' aviary help ci.md
  for pack in "$root/a b/golden"/*.safetensors; do
    v=$(basename "$pack" .safetensors) pack="/a b/golden/${pack##*/}"
    check "$v: info" 0 "$v" aviary info "$pack"
    check "$v: a pack agrees with itself" 0 'all agree' aviary golden diff "$pack" "$pack" --junit /golden.xml
    grep -q "<testsuite name=\"golden $v\" tests=\"[0-9]*\" failures=\"0\"" "$root/golden.xml" || {
      echo "[  FAILED  ] $v: golden.xml"; failed=1; }
  done
  check 'a pack is made' 0 '' aviary golden make v7 --layers 2 --no-sensitivity /one.safetensors
  check 'and another' 0 '' aviary golden make v7 --layers 2 --seed 1 --tokens /one.safetensors:tokens --no-sensitivity /two.safetensors
  check 'what is off: status 1, as TAP' 1 'not ok' aviary golden diff /one.safetensors /two.safetensors --no-causes --tap -
  head -1 "$root/out" | grep -q '^TAP version 13$' || { echo '[  FAILED  ] TAP on the standard output'; failed=1; }
  check 'another version: status 2' 2 'expected numbers of v7' aviary golden diff /one.safetensors '/a b/golden/v4.safetensors'
  check 'a file that is not there: status 2' 2 'nowhere' aviary golden diff /one.safetensors /nowhere.safetensors
}

echo 'In an empty root:'
run_all
# Behind the kernel's walls the program starts again where there is /proc: it names the loader that may be started.
if mount --rbind /proc "$root/proc" 2>/dev/null; then
  trap 'umount -l "$root/proc" && rm -rf "$root"' EXIT
  echo 'With /proc:'
  run_all
  check 'a script that needs float64' 0 'float64' aviary -e 'rwkv.need_double() print(rwkv.precision)'
  check 'a script with workers' 0 'v7' aviary experiments/mqar_demo.lua --scale smoke --versions v7 --jobs 2
else
  echo 'SKIPPED: with /proc: it cannot be mounted there'
fi

# Emulated, a program cannot start another: each is run as the launcher would.
if emulator=$(command -v qemu-x86_64-static) && [ "${archive%x86_64-linux.tar.gz}" != "$archive" ]; then
  echo 'On the oldest x86-64 processor:'
  cp "$emulator" "$root/emulator"
  old='/emulator -cpu qemu64,-sse3,-cx16 /here/lib/loader --inhibit-cache --library-path /here/lib --argv0'
  old32="$old /here/bin/aviary /here/lib/aviary" old64="$old /here/bin/aviary64 /here/lib/aviary64"
  check 'the program says what it is' 0 'vectors of 16 bytes' $old32 --version
  check 'a training step' 0 'done' $old32 -e 'local m = rwkv.model { version = "v7", layers = 1, dim = 64, vocab = 50 }
    m:loss(rwkv.tokens { { 1, 2, 3, 4 } }, rwkv.tokens { { 2, 3, 4, 5 } }):backward() rwkv.adamw(m, { lr = 1e-3 }):step() print "done"'
  for pack in "$root/here/golden"/*.safetensors; do
    pack=/here/golden/${pack##*/}
    check "$(basename "$pack" .safetensors): a pack agrees with itself" 0 'all agree' $old64 golden diff "$pack" "$pack"
  done
  check 'a pack is made' 0 '' $old64 golden make v7 --layers 2 --no-sensitivity /old.safetensors
  cmp "$root/one.safetensors" "$root/old.safetensors" || { echo '[  FAILED  ] it is the same, to the bit'; failed=1; }
else
  echo 'SKIPPED: the oldest processor: it wants an archive for x86-64, and qemu-x86_64-static (Debian: qemu-user-static)'
fi
exit $failed

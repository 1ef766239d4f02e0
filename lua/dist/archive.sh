#!/bin/sh
# make dist: makes of a folder in which Aviary is installed an archive that brings its libraries.
#   sh lua/dist/archive.sh FOLDER LAUNCHER BUILD PACK..
set -e
tree=$1 launcher=$2 build=$3
shift 3

command -v dpkg-query >/dev/null || { echo 'make dist needs Debian: its packages say whose libraries these are' >&2; exit 1; }

# The programs, behind a launcher each. The module for a stock Lua stays out: that one has libraries of its own.
rm -rf "$tree/lib/lua" "$tree/share/lua"
strip -o "$tree/lib/aviary" "$tree/bin/aviary"
strip -o "$tree/lib/aviary64" "$tree/libexec/aviary/aviary64"
for m in cuda.so cuda64.so; do [ ! -f "$tree/libexec/aviary/$m" ] || strip -o "$tree/lib/$m" "$tree/libexec/aviary/$m"; done
rm -r "$tree/libexec"
install "$launcher" "$tree/bin/aviary"
ln "$tree/bin/aviary" "$tree/bin/aviary64"

# What tries a device: a machine that has one has none of our packages. The modules are built there if none is here.
for t in test_cuda test_cuda_train; do
  strip -o "$tree/lib/$t" "$build/f32/tests/$t"
  strip -o "$tree/lib/${t}64" "$build/f64/tests/$t"
done
install tests/test-cuda.sh "$tree/test-cuda.sh"
mkdir -p "$tree/golden/official"
for w in tests/golden/*.weights.safetensors; do cp "$w" "${w%.weights.safetensors}.golden.safetensors" "$tree/golden/official"; done

# What they are linked with. The dynamic loader stands there without an arrow.
libraries=$(ldd "$tree"/lib/aviary* "$tree"/lib/test_* | awk '$2 == "=>" && $3 == "not" {print "missing: " $1 >"/dev/stderr"; exit 1}
  $2 == "=>" {print $3} $1 ~ /\/ld-/ {print $1}' | sort -u)
# What CUDA's libraries want of the C library beside libc.so.6 is of the same C library.
libc=$(printf '%s\n' $libraries | grep '/libc\.so\.6$')
for l in librt.so.1 libpthread.so.0 libdl.so.2; do libraries="$libraries ${libc%/*}/$l"; done
libraries=$(printf '%s\n' $libraries | sort -u)
for l in $libraries; do
  case $l in */ld-*) name=loader ;; *) name=${l##*/} ;; esac
  install -m "$([ $name = loader ] && echo 755 || echo 644)" "$l" "$tree/lib/$name"
done

# Their licences, and the texts that these name. A library is known by its name in / or in /usr, of which one leads to
# the other.
mkdir "$tree/licenses"
texts=$tree/licenses
printf 'library\tpackage\tversion\tsource\n' >"$texts/packages.tsv"
for l in $libraries; do
  real=$(realpath "$l")
  package=$(dpkg-query -S "$real" "${real#/usr}" 2>/dev/null | head -1 | cut -d : -f 1)
  [ -n "$package" ] || { echo "make dist: $l is of no package, so nobody says its licence" >&2; exit 1; }
  printf '%s\t%s\n' "${l##*/}" \
    "$(dpkg-query -W -f='${Package}\t${Version}\t${source:Package} ${source:Version}\n' "$package" | head -1)" \
    >>"$texts/packages.tsv"
  cp "/usr/share/doc/$package/copyright" "$texts/$package"
done
grep -ohE '/usr/share/common-licenses/[A-Za-z0-9.-]*[A-Za-z0-9]' "$texts"/* | sort -u | while read -r t; do
  [ ! -f "$t" ] || cp -L "$t" "$texts/"
done

cp "$@" "$tree/golden"
cp lua/dist/README.md lua/dist/golden.workflow.yml LICENSE "$tree"
chmod -R u=rwX,go=rX "$tree"

# The same bytes from the same files.
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$(git log -1 --format=%ct 2>/dev/null || echo 0)" \
  -C "${tree%/*}" -cf - "${tree##*/}" | gzip -n >"$tree.tar.gz.new"
mv "$tree.tar.gz.new" "$tree.tar.gz"
rm -r "$tree"

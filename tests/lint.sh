#!/bin/sh
# The house rules that a machine can check. Prints every breach; exit status 1 if there is one.
bad=0
BUILD=${BUILD:-build}
mkdir -p "$BUILD"
breach() { echo "lint: $*"; bad=1; }

# ref/ knows nothing of Lua.
grep -rlE '#include *[<"](lua|lauxlib|lualib)' ref && breach 'ref/ includes Lua (above)'

# Where the numbers of a tensor lie, no pointer of lua/ leads; which backend computes is chosen in one file.
grep -nE '(->|\.)(data|grad)\b' lua/*/*.[ch] && breach 'lua/ reaches into tensors: there are tensor_read, tensor_write, .. (above)'
grep -nE '\bops\.|\b(k|fast|shadow)_[a-z0-9_]+\(|"(engine/(ops|kernels)\.h|fast/)' lua/*/*.[ch] |
  grep -v '^lua/bindings/backend.c' && breach 'only lua/bindings/backend.c knows of kernels and backends (above)'

# Numbers belong to a backend: whoever is neither kernel nor backend nor tape reads and writes them by tensor_read and its
# like, calls no op by itself, and does not know who computes.
grep -nE '(->|\.)(data|grad)\b|\b(run_[a-z0-9_]+\(&\(|backend_)|engine/(backend|ops|kernels)\.h' ref/*.c ref/io/*.[ch] ref/text/*.[ch] ref/model/*.[ch] |
  grep -v '^ref/wkv' && breach 'numbers of a tensor, or ops, outside kernels, backends and tape (above)'

# What a model computes has the same bits everywhere: no function of the C library that rounds as it likes.
grep -nE '(^|[^_[:alnum:]])(exp|exp2|expm1|log|log2|log1p|tanh|pow)[fl]?\(' ref/wkv*.c ref/engine/[!o]*.c |
  grep -vE '^[^:]*:[0-9]*:(/\*| ?\*| *//)|/\*.*(exp|log|tanh)\(' && breach 'a function of the C library in place of elementary.h (above)'

# A file includes only what stands before it:
#   num elementary packed err memory arena share rng nearest < tensor.h < kernels < table of ops < backend < fast, cuda < tensor.c bounds expect <
#   tape (t_*, node) optim < io < text < dims where init orthogonal spec <
#   pass hook < versions variants < model < golden
layer() {
  case $1 in
    */engine/num.h | */engine/elementary.[ch] | */engine/packed.[ch] | */engine/err.[ch] | */engine/memory.[ch] | \
      */engine/arena.[ch] | */engine/share.[ch] | */engine/rng.[ch] | */engine/nearest.[ch]) echo 1 ;;
    */engine/tensor.h) echo 2 ;;
    */engine/kernels.h | */engine/k_*.[ch] | ref/wkv*.c) echo 3 ;;
    */engine/op_table.h | */engine/ops.[ch] | */engine/host_copy.[ch]) echo 4 ;;
    */engine/backend.[ch] | */engine/backend_module.c | */engine/backend_layout.c) echo 5 ;;
    */fast/* | */cuda/*) echo 6 ;;
    */engine/tensor.c | */engine/bounds.[ch] | */engine/expect.[ch]) echo 7 ;;
    */engine/tape.[ch] | */engine/node.h | */engine/t_*.c | */engine/optim.[ch]) echo 8 ;;
    */io/*) echo 9 ;;
    */text/*) echo 10 ;;
    ref/dims.[ch] | ref/where.[ch] | ref/init.[ch] | ref/orthogonal.c | ref/spec.h) echo 11 ;;
    ref/pass.[ch] | ref/hook.[ch]) echo 12 ;;
    ref/version.h | ref/variants.[ch] | ref/global.c | ref/block.c | ref/mixes.c | ref/channel_mix.c | ref/v[0-9]*.[ch] | \
      ref/rc*.[ch] | ref/past.[ch]) echo 13 ;;
    ref/model/golden.[ch]) echo 15 ;;
    ref/model/*) echo 14 ;;
    ref/rwkv.h) echo 16 ;;
    *) echo 0 ;;
  esac
}
for f in ref/*.[ch] ref/*/*.[ch] ref/*/*.cu; do
  own=$(layer "$f")
  [ "$own" = 0 ] && breach "$f has no place in the order of layers (tests/lint.sh)"
  sed -n 's/^#include "\(.*\)"/\1/p' "$f" | while read -r i; do
    path=$(realpath -m --relative-to=. "$(dirname "$f")/$i")
    [ -f "$path" ] || path=ref/$i
    other=$(layer "$path")
    [ "$other" -le "$own" ] || echo "$f (layer $own) includes $path (layer $other)"
  done
done >$BUILD/lint.txt
[ -s $BUILD/lint.txt ] && { cat $BUILD/lint.txt; breach 'an include goes against the order of layers (above)'; }

# Nor does a function call one, or read a variable, of a later layer.
for f in ref/*.c ref/*/*.c; do echo "$(layer "$f") $BUILD/f32/${f%.c}.o"; done >$BUILD/lint_layers.txt
nm -A -P -g $(cut -d ' ' -f 2 $BUILD/lint_layers.txt) | awk '
  FILENAME != "-" {layer[$2 ":"] = $1; next}
  $3 != "U" {home[$2] = $1; next}
  {used[++n] = $0}
  END {
    for (i = 1; i <= n; i++) {
      split(used[i], u, " ")
      if (u[2] in home && layer[home[u[2]]] + 0 > layer[u[1]] + 0)
        print u[1], "(layer " layer[u[1]] ")", u[2], "of", home[u[2]], "(layer " layer[home[u[2]]] ")"
    }
  }' $BUILD/lint_layers.txt - >$BUILD/lint.txt
[ -s $BUILD/lint.txt ] && { cat $BUILD/lint.txt; breach 'a call goes against the order of layers (above)'; }

# A name that other files see says by its prefix where it is at home.
prefixes='m|nearest|onednn|packed|storage|arena|memory|rng|rwkv|shape|tensor|bounds|expect|k|op|host|backend|f|fast|machine|places|pool|shadow|t|tape|node|opt|
  file|format|mapping|archive|convert|compare|npy|pickle|torch|names|writer|output|regular|
  buffer|table|trie|double_array|ids|vocabulary|literal|utf8|nfc|words|bpe|world|chars|tokenizer|sampler|
  dims|has|init|hook|trace|mixes|global|block|channel|v[1-8][ab]?|rc|past|token|version|
  layout|model|state|stretch|stretches|gather|recognise|metadata|golden'
nm -P -g --defined-only $BUILD/f32/librwkv.a | awk 'NF > 2 {print $1}' | LC_ALL=C sort -u |
  grep -vE "^(always$|($(echo "$prefixes" | tr -d ' \n'))_)" >$BUILD/lint.txt
[ -s $BUILD/lint.txt ] && { cat $BUILD/lint.txt; breach 'these names have no prefix that says their layer (tests/lint.sh)'; }

# Memory is counted: outside ref/io, which frees what strdup and cJSON gave, it goes the way it came.
grep -nE '\b(malloc|calloc|realloc|free)\(' ref/*.c ref/text/*.c ref/model/*.c ref/engine/*.c ref/fast/*.c | grep -vE '^ref/engine/memory.c|->free\(' &&
  breach 'ref/ takes memory by rwkv_alloc and gives it back by rwkv_release (above)'

# Equation tags: every tag cited in the code stands in PAPER_NOTES.md, and every tag there is cited.
grep -rohE '\[(v[0-9]+[a-z]?|rc|rosa)(\.[0-9a-z]+)?\.[0-9]+\]' ref | sort -u >$BUILD/tags_code.txt
grep -ohE '\[(v[0-9]+[a-z]?|rc|rosa)(\.[0-9a-z]+)?\.[0-9]+\]' PAPER_NOTES.md | sort -u >$BUILD/tags_notes.txt
for t in $(comm -23 $BUILD/tags_code.txt $BUILD/tags_notes.txt); do breach "tag $t is cited in ref/ but not in PAPER_NOTES.md"; done
for t in $(comm -13 $BUILD/tags_code.txt $BUILD/tags_notes.txt); do breach "tag $t of PAPER_NOTES.md is cited nowhere in ref/"; done

# Sizes that can be read in one go.
for f in ref/*.[ch] ref/*/*.[ch] ref/*/*.cu lua/*/*.[ch]; do
  n=$(wc -l <"$f")
  [ "$n" -le 400 ] || breach "$f has $n lines; the aim is 300, the limit 400"
done
awk 'length($0) > 120 {print FILENAME ":" FNR ": longer than 120 columns"; n++} END {exit n > 0}' \
  ref/*.[ch] ref/*/*.[ch] ref/*/*.cu lua/*/*.[ch] tests/*.[ch] tests/cuda/*.h tests/cuda/*.cpp tests/fuzz/*.[ch] || breach 'long lines (above)'

# Formatted as `make format` does it.
if [ -n "$FORMAT_CHECK" ]; then
  find ref lua tests -name '*.[ch]' -o -name '*.cu' -o -name '*.cpp' | xargs clang-format --dry-run -Werror >$BUILD/lint.txt 2>&1 || {
    grep -a 'error:\|not found' $BUILD/lint.txt | head -40
    breach 'make format changes these (above; clang-format 14, of Debian 12)'
  }
fi

# What is written in Lua reads the globals of the library's world (make_world in lua/program/library.c), makes none, looks
# into no function and loads no code. _G is for those who must see all of it.
world=' _VERSION arg assert collectgarbage coroutine error getmetatable io ipairs math next os package pairs pcall print rawequal
  rawget rawlen rawset require select setmetatable string table tonumber tostring type utf8 warn xpcall '
sees_all=' lua/rwkv/experiment/known.lua '
luac=$(command -v luac5.4 || command -v luac) || breach 'luac5.4 is missing (Debian: apt-get install lua5.4)'
[ -z "$luac" ] || find lua/rwkv lua/commands -name '*.lua' | LC_ALL=C sort | while read -r f; do
  "$luac" -l -p "$f" | awk -v f="$f" -v world="$world" -v sees_all="$sees_all" '
    BEGIN {gsub(/[ \n]+/, " ", world)}
    debugging {if (!/GETFIELD.*; "traceback"/) print f ": debug, but for debug.traceback"; debugging = 0}
    / [GS]ETTABUP / || /\t[GS]ETTABUP/ {
      if (!match($0, /; _ENV "[^"]*"/)) next
      name = substr($0, RSTART + 8, RLENGTH - 9)
      if (/SETTABUP/) print f ": sets the global " name
      else if (name == "debug") debugging = 1
      else if (name == "_G" && index(sees_all, " " f " ")) next
      else if (!index(world, " " name " ")) print f ": reads the global " name
      next
    }
    /[GS]ETUPVAL.*; _ENV/ {print f ": uses _ENV"}'
  grep -nE '\b_ENV\b' "$f" | sed "s|^|$f:|"
done >$BUILD/lint.txt
[ -s $BUILD/lint.txt ] && { cat $BUILD/lint.txt; breach "what the library's world does not have (above)"; }

# The library requires itself alone. A file requires what stands in lua/rwkv itself, what is in its own room, and what a version is; all
# rooms together, as `rwkv`, are for commands, benchmarks and help.
find lua/rwkv lua/commands -name '*.lua' | LC_ALL=C sort | while read -r f; do
  own=$(expr "$f" : 'lua/rwkv/\([^/]*\)/')
  grep -oE "\\brequire *\(?[\"'][^\"']*" "$f" | sed "s/.*[\"']//" | while read -r module; do
    room=$(expr "$module" : 'rwkv\.\([^.]*\)')
    [ -n "$room" ] && [ -d "lua/rwkv/$room" ] || room=
    [ "$module" != rwkv.versions ] || room=
    case "$f $module" in
      *' rwkv' | *' rwkv.'*) ;;
      *) echo "$f requires $module: it is no part of the library" ;;
    esac
    case $f in lua/commands/* | lua/rwkv/bench/* | lua/rwkv/init.lua | lua/rwkv/help.lua) continue ;; esac
    [ "$module" != rwkv ] || echo "$f requires all of rwkv"
    [ -z "$room" ] || [ "$room" = "$own" ] || echo "$f requires $module: a room requires no other one"
  done
done >$BUILD/lint.txt
[ -s $BUILD/lint.txt ] && { cat $BUILD/lint.txt; breach 'a require goes the wrong way (above)'; }

# What a version has of its own is said in lua/rwkv/versions, not asked for by its name.
grep -nE "version[^=]{0,12}(==|~=) *[\"']v[0-9]|version:(find|match) *\(?[\"']\^?v[0-9[]" $(find lua -name '*.lua') | grep -v '^lua/rwkv/versions/' >$BUILD/lint.txt
[ -s $BUILD/lint.txt ] && { cat $BUILD/lint.txt; breach 'a branch on the name of a version (above): lua/rwkv/versions has a place for it'; }

# What .luacheckrc says.
if command -v luacheck >/dev/null; then
  luacheck --no-color --codes -q lua experiments plots tests >$BUILD/lint.txt || { cat $BUILD/lint.txt; breach 'luacheck (above)'; }
else
  echo 'lint: luacheck is not installed (Debian: apt-get install lua-check): variables of Lua are not looked at'
fi

# Scripts see neither rwkv.core's private functions nor the files that hold them.
keepers=' init contents counted method public hooks models trace recorded stand_in outside optimizer session nearest provenance
  devices golden/compare golden/part golden/pattern plot/init progress tensor digest text/ids text/run experiment/init experiment/answer experiment/configs experiment/draws
  experiment/files experiment/fingerprint experiment/known experiment/lock experiment/notice experiment/settings experiment/workers ranks '
grep -rlE '^[^-]*\bprivate\b' lua/rwkv lua/commands | while read -r f; do
  name=${f#lua/rwkv/}
  case " $(echo $keepers) " in *" ${name%.lua} "*) ;; *) echo "$f" ;; esac
done >$BUILD/lint.txt
[ -s $BUILD/lint.txt ] && { cat $BUILD/lint.txt; breach 'these use rwkv.core.private, and are not among the keepers (tests/lint.sh)'; }

# Every documentation link leads somewhere.
for f in README.md HACKING.md CHANGELOG.md PAPER_NOTES.md lua/pages/*.md; do
  grep -oE '\]\([^)#:]+\)' "$f" | tr -d '])(' | while read -r to; do
    [ -e "$(dirname "$f")/$to" ] || echo "$f: $to does not exist"
  done
done >$BUILD/lint.txt
[ -s $BUILD/lint.txt ] && { cat $BUILD/lint.txt; breach 'dead links (above)'; }

[ "$bad" = 0 ] && echo 'lint: clean'
exit "$bad"

#!/bin/sh
# What part of ref/ and of lua/*.c the tests ran that a build tree of `make coverage` counts: a line a file, the least first,
# and the sum.
find "$1/ref" "$1/lua" -name '*.gcda' | xargs gcov -n -r 2>/dev/null | awk '
  /^File / {gsub(/^File .|.$/, ""); file = $0; next}
  /^Lines executed:/ && file ~ /^(ref|lua)\/.*\.c$/ {
    split(substr($2, 10), percent, "%")
    lines = $4; ran = lines * percent[1] / 100; file_lines[file] += lines; file_ran[file] += ran
  }
  {file = ""}
  END {
    for (f in file_lines) printf "%6.1f %%  %s\n", 100 * file_ran[f] / file_lines[f], f | "LC_ALL=C sort -n"
    close("LC_ALL=C sort -n")
    for (f in file_lines) {split(f, part, "/"); sum[part[1]] += file_lines[f]; got[part[1]] += file_ran[f]}
    printf "Lines that the tests ran: %.1f %% of ref/ (%d), %.1f %% of lua/ (%d)\n", 100 * got["ref"] / sum["ref"], sum["ref"],
      100 * got["lua"] / sum["lua"], sum["lua"]
  }'

# Tables: how they are read and their texts drawn, whatever stands in them: no text is a command, a format or markup.

# What gnuplot would take for more than letters is hidden while it is data: blanks and quotes part words, a quote ends
# what strcol() gives, a backslash begins an escape. So cells are words, and lists of cells are lists of words.
hide(c) = c == 34 ? "\001" : c == 39 ? "\002" : c == 92 ? "\003" : \
  c < 33 && c != 9 && c != 10 ? "\004" : sprintf("%c", c)
show(c) = c eq "\001" ? '"' : c eq "\002" ? "'" : c eq "\003" ? '\' : c eq "\004" ? " " : c
shown(s) = (letters = "", sum [i = 1:strlen(s)] (letters = letters.show(s[i:i]), 0), letters)
# What is drawn of a cell. Beside tics it comes by xtic(): a text of set xtics is a format.
drawn(cell) = cell[1:1] eq "\001" ? shown(cell[2:strlen(cell) - 1]) : shown(cell)

# eval read("$data") puts the table whose path is in file into $data. Only as bytes does gnuplot read a text as it is.
# A table without rows ends the script.
read(block) = "text = ''; page = ''; line = ''; lines = 0; set table $none; ". \
  "plot file binary format='%uchar' using (gather($1)) with table if (0); unset table; ". \
  "if (lines + (line ne '') < 2) { exit error file.': expected a table with rows, found none' }; ". \
  "set print ".block."; print text.page.line; unset print"
gather(c) = (line = line.hide(c), c == 10 ? turn(line) : 0)
# A long text grows slowly: so by pages.
turn(s) = (lines = lines + (s[1:1] ne "#"), page = page.s, line = "", strlen(page) > 5000 ? (text = text.page, page = "") : "", 0)

# eval cells("models", "$data", "label") makes a list of the cells of a column, each once, in the order of the table; of
# some of its rows: eval cells_where("models", "$data", "label", "column('carry') == 0"). numbers(): of those that are one.
cells(list, table, name) = cells_where(list, table, name, "1")
cells_where(list, table, name, condition) = sprintf( \
  "%s = ''; stats %s using (%s ? (%s = with(%s, strcol('%s')), 0) : 0) nooutput", \
  list, table, condition, list, list, name)
numbers(list, table, name) = sprintf( \
  "%s = ''; stats %s using (%s = with_number(%s, column('%s')), 0) nooutput", list, table, list, list, name)
with(list, cell) = cell eq "" || strstrt(" ".list, " ".cell." ") ? list : list.cell." "
with_number(list, x) = x - x == 0 ? with(list, sprintf("%.12g", x)) : list
place(list, cell) = sum [i = 1:words(list)] (word(list, i) eq cell ? i : 0)

# eval largest("far", "position", 1): the largest number of a column of $data, or the one given; of some of its rows.
largest(name, column, least) = largest_where(name, column, least, "1")
largest_where(name, column, least, condition) = largest_of(name, "$data", column, least, condition)
largest_of(name, table, column, least, condition) = sprintf( \
  "%s = %g; stats %s using (%s ? (%s = larger(%s, column('%s')), 0) : 0) nooutput", \
  name, least, table, condition, name, name, column)
larger(x, y) = y > x && y < 1e300 ? y : x

# How a table was made: the first two lines of it, if they are comments. There is room for three lines of 150 letters: of the
# first, a command, what is too long is left out in the middle; the second takes two.
made_by(one, two) = shortened(comment(one)).(comment(two) eq "" ? "" : "\n".wrapped(comment(two), 2))
comment(s) = s[1:2] eq "#\004" ? shown(s[3:*]) : ""
shortened(s) = strlen(s) <= 150 ? s : s[1:147 - strlen(tail(s))]." … ".tail(s)
tail(s) = (end = strstrt(s, "(commit "), end > strlen(s) - 120 ? s[end:*] : s[strlen(s) - 61:*])
wrapped(s, n) = n == 1 && strlen(s) > 150 ? s[1:149]."…" : strlen(s) <= 150 ? s : s[1:width_of(s)]."\n".wrapped(s[width_of(s) + 1:*], n - 1)
width_of(s) = (end = 150, sum [i = 1:150] (s[i:i] eq " " ? (end = i) : 0), end)
# What follows in the small print: how many seeds, what the picture proves and what not. Two lines.
said(s) = "\n".wrapped(s, 2)
seeds(n) = n == 1 ? "one seed" : sprintf("%g seeds", n)

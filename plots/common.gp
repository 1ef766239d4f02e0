# What all figures share. Of out and formats (-e "formats='svg'": less than all kinds of files) the first is a path: never
# one that begins with < or |, which would be a command.
folder(path) = (end = 0, sum [i = 1:strlen(path)] (path[i:i] eq "/" ? (end = i) : 0), path[1:end])
here = folder(ARG0)
load here."table.gp"
if (out[1:1] ne "/") out = "./".out
kinds(all) = exists("formats") ? formats : all

# The look. Colours: Okabe and Ito's, which colour-blind readers can tell apart.
set encoding utf8
set datafile separator "\t"
set datafile commentschars "#"
set datafile columnheaders
set datafile nofpe_trap # faster
set datafile missing NaN # a line goes on over rows that are another's
set border 3 lc rgb "#404040"
set tics nomirror out scale 0.6 textcolor rgb "#202020"
set grid ytics lc rgb "#e4e4e4" lt 1 lw 0.7
set key top left Left reverse samplen 2 spacing 1.2 noopaque noenhanced
set style fill solid 0.9 noborder

# One colour, dash and point a model, the same in every figure.
style_versions = "v1 v2 v3 v4 v5.0 v5.1 v5.2 v6 v6a v6b v7 v7-doubled v7-no-bonus attention linear_attention retnet gla deltanet deltanet_negative gated_deltanet deltaproduct mamba"
style_colours = "#999999 #bbbbbb #777777 #0072B2 #56B4E9 #56B4E9 #56B4E9 #009E73 #009E73 #009E73 #D55E00 #E69F00 #8c3d00 #303030 #808080 #808080 #b0b0b0 #CC79A7 #CC79A7 #882255 #7a1fa2 #6a5acd"
style_points = "1 2 3 5 6 8 7 9 10 11 13 12 13 4 1 2 3 5 4 6 9 8"
style_dashes = "3 4 2 1 3 4 1 1 3 4 1 1 2 1 3 4 2 1 4 1 1 2"
style_index(v) = sum [i = 1:words(style_versions)] (word(style_versions, i) eq v ? i : 0)
# Others, as models of one's own, in the order in which a figure first asks for them: no two look alike.
own_colours = "#AA3377 #B8860B #332288 #44AA99 #EE3377 #661100 #999933 #0000CC"
own_points = "7 5 13 9 11 4 6 12 8"
own_models = ""
own(v) = (own_models = with(own_models, v), place(own_models, v))
colour(v) = style_index(v) ? word(style_colours, style_index(v)) : one_of(own_colours, own(v))
point(v) = int(style_index(v) ? word(style_points, style_index(v)) : one_of(own_points, own(v)))
dash(v) = style_index(v) ? int(word(style_dashes, style_index(v))) : 1 + (own(v) - 1) / words(own_colours) % 4

# eval picture("png", 1400, 620): a terminal for each kind of file, the same size in all
picture(format, width, height) = format eq "png" ? sprintf("set terminal pngcairo size %d,%d font 'sans,12'", width, height) : \
  format eq "svg" ? sprintf("set terminal svg size %d,%d font 'sans,13'", width, height) : \
  sprintf("set terminal pdfcairo size %.2f,%.2f font 'sans,10'", width / 110.0, height / 110.0)
small_print = "noenhanced font ',9' textcolor rgb '#707070'"
one_of(list, i) = word(list, 1 + (i - 1) % words(list))
light(v) = "0x90".substr(colour(v), 2, 7) # a colour for what others published

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

# One colour, point and dash a model, the same in every figure.
looks = "\
  v1                 #999999  1  3 \
  v2                 #c9b18b  2  4 \
  v3                 #7a6a4f  3  2 \
  v4                 #0072B2  5  1 \
  v5.0               #1b2a6b  6  3 \
  v5.1               #a99bd6  8  4 \
  v5.2               #56B4E9  7  1 \
  v6                 #009E73  9  1 \
  v6a                #7ccba2 10  3 \
  v6b                #0b5d3b 11  4 \
  rc2                #b7410e  6  3 \
  rc3                #c97b4a  8  4 \
  rc4                #e3a27a  9  2 \
  rc4a               #f0c9a8 12  3 \
  v7                 #D55E00 13  1 \
  v7a                #009B77  4  2 \
  v7b                #1f6f8b  3  4 \
  v8_rc00            #6a0dad  5  2 \
  v8_rc00_hybrid     #b19cd9  7  3 \
  rosa               #7f7f00  6  2 \
  rosa_4bit          #b5b35c 11  4 \
  v7-doubled         #E69F00 12  1 \
  v7-no-bonus        #8c3d00 13  2 \
  attention          #303030  4  1 \
  linear_attention   #808080  1  3 \
  retnet             #a6a14e  2  4 \
  gla                #86b300  3  2 \
  deltanet           #CC79A7  5  1 \
  deltanet_negative  #d81b60  4  4 \
  gated_deltanet     #882255  6  1 \
  deltaproduct       #7a1fa2  9  1 \
  mamba              #6a5acd  8  2 \
  hybrid-first       #b83280  7  4 \
  hybrid-middle      #8a6d00  5  2 \
  hybrid-last        #4338ca 13  3 \
  hybrid-nope        #0f9d9d  9  2"
place_of(v) = sum [i = 1:words(looks) / 4] (word(looks, 4 * i - 3) eq v ? 4 * i - 3 : 0)
# Others, as models of one's own, in the order in which a figure first asks for them: no two look alike.
own_colours = "#AA3377 #B8860B #332288 #44AA99 #EE3377 #661100 #999933 #0000CC"
own_points = "7 5 13 9 11 4 6 12 8"
own_models = ""
own(v) = (own_models = with(own_models, v), place(own_models, v))
look(v, k) = word(looks, place_of(v) + k)
colour(v) = place_of(v) ? look(v, 1) : one_of(own_colours, own(v))
point(v) = int(place_of(v) ? look(v, 2) : one_of(own_points, own(v)))
dash(v) = place_of(v) ? int(look(v, 3)) : 1 + (own(v) - 1) / words(own_colours) % 4

# eval picture("png", 1400, 620): a terminal for each kind of file, the same size in all
picture(format, width, height) = format eq "png" ? sprintf("set terminal pngcairo size %d,%d font 'sans,12'", width, height) : \
  format eq "svg" ? sprintf("set terminal svg size %d,%d font 'sans,13'", width, height) : \
  sprintf("set terminal pdfcairo size %.2f,%.2f font 'sans,10'", width / 110.0, height / 110.0)
small_print = "noenhanced font ',9' textcolor rgb '#707070'"
one_of(list, i) = word(list, 1 + (i - 1) % words(list))
light(v) = "0x90".substr(colour(v), 2, 7) # a colour for what others published

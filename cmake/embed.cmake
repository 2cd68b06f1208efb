# SPDX-License-Identifier: MIT
# cmake -DFOLDER=root -DNAMES=a.h,b.cc -DOUTPUT=x.inc -P embed.cmake: text files
# as lines of an initialiser, {"name", R"SOTTO(text)SOTTO"}.
string(REPLACE "," ";" names "${NAMES}")
set(all "")
foreach(name IN LISTS names)
  file(READ ${FOLDER}/${name} text)
  string(APPEND all "{\"${name}\", R\"SOTTO(${text})SOTTO\"},\n")
endforeach()
file(WRITE ${OUTPUT} "${all}")

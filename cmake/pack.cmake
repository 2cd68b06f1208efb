# SPDX-License-Identifier: MIT
# cmake -DINPUT=file -DOUTPUT=file.gz -P pack.cmake: one file, gzip-compressed.
# src/text/shipped_data.S takes the deflate stream behind the header, which
# holds a time stamp; so builds are reproducible. That needs the header to have
# its plain 10 bytes, without names or comments.
get_filename_component(folder ${OUTPUT} DIRECTORY)
file(MAKE_DIRECTORY ${folder})
file(ARCHIVE_CREATE OUTPUT ${OUTPUT} PATHS ${INPUT} FORMAT raw
     COMPRESSION GZip COMPRESSION_LEVEL 9)
file(READ ${OUTPUT} header LIMIT 4 HEX)
if(NOT header STREQUAL "1f8b0800")
  message(FATAL_ERROR "${OUTPUT}: gzip header ${header}, want 1f8b0800")
endif()

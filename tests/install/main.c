/* SPDX-License-Identifier: MIT
 * usage: uses_sotto MODEL FILE: prints the text, or the error and 1. */
#include <sotto/sotto.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char** argv) {
  sotto_engine* engine = NULL;
  sotto_transcript* transcript = NULL;
  const char* options[] = {"model", "", "language", "en", NULL};
  if (argc != 3) return 2;
  options[1] = argv[1];
  if (sotto_engine_open(options, &engine) != SOTTO_OK ||
      sotto_transcribe_file(engine, argv[2], NULL, &transcript) != SOTTO_OK) {
    fprintf(stderr, "%s\n", sotto_last_error());
    sotto_engine_close(engine);
    return 1;
  }
  puts(sotto_transcript_text(transcript));
  /* What is rendered and what is listed is the same text. */
  if (strstr(sotto_transcript_render(transcript, "json"), "\"segments\"") ==
          NULL ||
      sotto_transcript_segments(transcript) == 0 ||
      sotto_segment_text(transcript, 1000000) != NULL)
    return 1;
  sotto_transcript_free(transcript);
  sotto_engine_close(engine);
  return 0;
}

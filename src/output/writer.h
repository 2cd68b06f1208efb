// SPDX-License-Identifier: MIT
// Transcripts as files: the bytes OpenAI's writers give for the same segments.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/transcript.h"

namespace sotto {

// How subtitles are laid out; all but the last field need words. 0 means not
// set.
struct WriterOptions {
  int max_line_width = 0;        // characters before a line is broken
  int max_line_count = 0;        // lines of a subtitle; needs max_line_width
  int max_words_per_line = 0;    // no effect where the two above are set
  bool highlight_words = false;  // underline each word as it is spoken
  // Words were asked for: then segments without any have an empty list.
  bool word_timestamps = false;
};

struct OutputFormat {
  std::string_view name;  // also the file's extension
  std::string (*render)(const Transcript&, const WriterOptions&);
};

// Every format, in the order in which "all" writes them.
std::span<const OutputFormat> OutputFormats();

// The format of that name, or all of them for "all". Throws kBadInput naming
// the ones there are.
std::vector<OutputFormat> ParseOutputFormats(std::string_view name);

// The file's text. Throws as ParseOutputFormats; "all" is none here.
std::string Render(std::string_view format, const Transcript& transcript,
                   const WriterOptions& options = {});

// Makes the folder (empty: the current one, unlooked at) and those above it;
// throws kBadInput with the cause, also where it cannot be written into. A long
// job asks for it before it starts.
void MakeOutputFolder(const std::filesystem::path& folder);

// Writes <folder>/<stem of audio>.<format> for the format or for all, each
// whole or not at all. Makes the folder. Returns the paths. Throws kBadInput
// with file and cause.
std::vector<std::filesystem::path> WriteTranscript(
    std::string_view format, const Transcript& transcript,
    const std::filesystem::path& folder, const std::filesystem::path& audio,
    const WriterOptions& options = {});

// True where words were asked for or any segment has some.
bool HasWords(const Transcript& transcript, const WriterOptions& options);

std::string RenderJson(const Transcript& transcript,
                       const WriterOptions& options);

}  // namespace sotto

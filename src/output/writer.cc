// SPDX-License-Identifier: MIT
#include "output/writer.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <system_error>

#include "base/error.h"
#include "base/file.h"
#include "output/subtitles.h"
#include "output/timestamp.h"
#include "text/utf8.h"

namespace sotto {
namespace {

std::string RenderText(const Transcript& transcript, const WriterOptions&) {
  std::string out;
  for (const Segment& segment : transcript.segments) {
    out += StripSpace(segment.text);
    out += '\n';
  }
  return out;
}

std::string RenderVtt(const Transcript& transcript,
                      const WriterOptions& options) {
  const ShowTime show = [](double time) { return FormatTimestamp(time); };
  std::string out = "WEBVTT\n\n";
  for (const Cue& cue : MakeCues(transcript, options, show))
    out += fmt::format("{} --> {}\n{}\n\n", show(cue.start), show(cue.end),
                       cue.text);
  return out;
}

std::string RenderSrt(const Transcript& transcript,
                      const WriterOptions& options) {
  const ShowTime show = [](double time) {
    return FormatTimestamp(time, true, ',');
  };
  std::string out;
  int number = 0;
  for (const Cue& cue : MakeCues(transcript, options, show))
    out += fmt::format("{}\n{} --> {}\n{}\n\n", ++number, show(cue.start),
                       show(cue.end), cue.text);
  return out;
}

std::string RenderTsv(const Transcript& transcript, const WriterOptions&) {
  std::string out = "start\tend\ttext\n";
  for (const Segment& segment : transcript.segments) {
    std::string text(StripSpace(segment.text));
    std::replace(text.begin(), text.end(), '\t', ' ');
    out += fmt::format("{}\t{}\t{}\n", Milliseconds(segment.start),
                       Milliseconds(segment.end), text);
  }
  return out;
}

constexpr OutputFormat kFormats[] = {
    {"txt", RenderText}, {"vtt", RenderVtt},   {"srt", RenderSrt},
    {"tsv", RenderTsv},  {"json", RenderJson},
};

std::string FormatNames() {
  std::string names;
  for (const OutputFormat& format : kFormats) {
    names += format.name;
    names += ", ";
  }
  return names + "all";
}

}  // namespace

std::span<const OutputFormat> OutputFormats() { return kFormats; }

std::vector<OutputFormat> ParseOutputFormats(std::string_view name) {
  if (name == "all") return {std::begin(kFormats), std::end(kFormats)};
  for (const OutputFormat& format : kFormats)
    if (format.name == name) return {format};
  Fail(ErrorCode::kBadInput, "unknown output format '{}', want one of {}", name,
       FormatNames());
}

std::string Render(std::string_view format, const Transcript& transcript,
                   const WriterOptions& options) {
  const auto formats = ParseOutputFormats(format);
  if (formats.size() != 1)
    Fail(ErrorCode::kBadInput, "'{}' is not one output format", format);
  return formats.front().render(transcript, options);
}

void MakeOutputFolder(const std::filesystem::path& folder) {
  std::error_code error;
  if (!folder.empty()) std::filesystem::create_directories(folder, error);
  if (error)
    Fail(ErrorCode::kBadInput, "{}: cannot make the folder: {}",
         folder.string(), error.message());
  if (!folder.empty() && ::access(folder.c_str(), W_OK | X_OK) != 0)
    Fail(ErrorCode::kBadInput, "{}: cannot write into the folder: {}",
         folder.string(), std::generic_category().message(errno));
}

std::vector<std::filesystem::path> WriteTranscript(
    std::string_view format, const Transcript& transcript,
    const std::filesystem::path& folder, const std::filesystem::path& audio,
    const WriterOptions& options) {
  const auto formats = ParseOutputFormats(format);
  MakeOutputFolder(folder);
  std::vector<std::filesystem::path> paths;
  for (const OutputFormat& one : formats) {
    std::filesystem::path path = folder / audio.stem();
    path += "." + std::string(one.name);
    WriteFileAtomic(path, one.render(transcript, options));
    paths.push_back(std::move(path));
  }
  return paths;
}

bool HasWords(const Transcript& transcript, const WriterOptions& options) {
  return options.word_timestamps ||
         std::any_of(
             transcript.segments.begin(), transcript.segments.end(),
             [](const Segment& segment) { return !segment.words.empty(); });
}

}  // namespace sotto

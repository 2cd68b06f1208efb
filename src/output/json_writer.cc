// SPDX-License-Identifier: MIT
// json.dump(result) of openai/whisper's transcribe().
#include <string>

#include "output/python_json.h"
#include "output/writer.h"

namespace sotto {
namespace {

// Joins with ", ", as Python separates members and elements.
class List {
 public:
  explicit List(std::string& out) : out_(out) {}
  std::string& Next() {
    if (!first_) out_ += ", ";
    first_ = false;
    return out_;
  }
  void Member(std::string_view key, std::string_view value) {
    Next() += '"';
    out_ += key;
    out_ += "\": ";
    out_ += value;
  }

 private:
  std::string& out_;
  bool first_ = true;
};

std::string Tokens(const std::vector<int>& tokens) {
  std::string out = "[";
  List list(out);
  for (const int token : tokens) list.Next() += std::to_string(token);
  return out + "]";
}

std::string Words(const std::vector<Word>& words) {
  std::string out = "[";
  List list(out);
  for (const Word& word : words) {
    list.Next() += '{';
    List members(out);
    members.Member("word", PythonString(word.text));
    members.Member("start", PythonFloat(word.start));
    members.Member("end", PythonFloat(word.end));
    members.Member("probability", PythonFloat(word.probability));
    out += '}';
  }
  return out + "]";
}

void AppendSegment(std::string& out, const Segment& segment, bool words) {
  out += '{';
  List members(out);
  members.Member("id", std::to_string(segment.id));
  members.Member("seek", std::to_string(segment.seek));
  members.Member("start", PythonFloat(segment.start));
  members.Member("end", PythonFloat(segment.end));
  members.Member("text", PythonString(segment.text));
  members.Member("tokens", Tokens(segment.tokens));
  members.Member("temperature", PythonFloat(segment.temperature));
  members.Member("avg_logprob", PythonFloat(segment.avg_logprob));
  members.Member("compression_ratio", PythonFloat(segment.compression_ratio));
  members.Member("no_speech_prob", PythonFloat(segment.no_speech_prob));
  if (words) members.Member("words", Words(segment.words));
  out += '}';
}

}  // namespace

std::string RenderJson(const Transcript& transcript,
                       const WriterOptions& options) {
  const bool words = HasWords(transcript, options);
  std::string segments = "[";
  List list(segments);
  for (const Segment& segment : transcript.segments)
    AppendSegment(list.Next(), segment, words);
  segments += ']';
  std::string out = "{";
  List members(out);
  members.Member("text", PythonString(transcript.text));
  members.Member("segments", segments);
  members.Member("language", PythonString(transcript.language));
  return out + "}";
}

}  // namespace sotto

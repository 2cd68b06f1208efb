// SPDX-License-Identifier: MIT
// sotto eval: word error rate over a manifest.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/cli/commands.h"
#include "apps/cli/common.h"
#include "apps/cli/recording.h"
#include "base/error.h"
#include "base/file.h"
#include "base/stop_signal.h"
#include "engine/engine.h"
#include "engine/transcribe.h"
#include "engine/window_model.h"
#include "text/normalize.h"
#include "text/wer.h"

namespace sotto::cli {
namespace {

struct Line {
  std::string path;
  std::string reference;
};

// Lines of path TAB text; empty lines and lines that begin with '#' are passed
// over.
std::vector<Line> ReadManifest(const std::filesystem::path& path) {
  const std::string text = ReadFile(path);
  std::vector<Line> lines;
  size_t number = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    at = end + 1;
    ++number;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty() || line[0] == '#') continue;
    const size_t tab = line.find('\t');
    if (tab == std::string::npos || tab == 0)
      Fail(ErrorCode::kBadInput, "{}:{}: no tab, want path TAB text",
           path.string(), number);
    lines.push_back({line.substr(0, tab), line.substr(tab + 1)});
  }
  if (lines.empty())
    Fail(ErrorCode::kBadInput, "{}: no lines of path TAB text", path.string());
  return lines;
}

class Evaluation {
 public:
  Evaluation(const Options& options, std::filesystem::path folder)
      : options_(options),
        folder_(std::move(folder)),
        engine_(FindModel(options.model),
                {options.profile, options.device, options.threads}),
        plan_(MakeDecodePlan(options, engine_.tokenizer())),
        model_(engine_),
        sounds_({options.offset, options.duration}, engine_.spec().n_mels) {}

  // `next`: the line after it, null where there is none. A line that a signal
  // stops is not counted.
  bool Run(const Line& line, const Line* next) {
    nlohmann::ordered_json entry = {{"path", line.path}};
    bool good = true;
    std::string hypothesis, language;
    try {
      const auto recording = sounds_.Take(folder_ / line.path);
      const AudioReader& reader = recording->reader;
      MelSource& sound = recording->sound;
      TranscribeEvents events;
      bool stopped = false;
      events.stop = [&] { return stopped = StopAsked(); };
      if (next != nullptr)
        events.next = [&] { return sounds_.ReadEarly(folder_ / next->path); };
      const Transcript result = Transcribe(model_, sound, plan_, events);
      if (stopped) return true;  // half a file has no error rate
      hypothesis = result.text;
      language = result.language;
      seconds_ += sound.duration();
      if (reader.damaged()) Fail(ErrorCode::kBadInput, "{}", reader.damage());
    } catch (const Error& error) {
      if (error.code() == ErrorCode::kInternal) throw;
      if (error.code() == ErrorCode::kCancelled) return true;
      std::cerr << "sotto: " << error.what() << '\n';
      entry["error"] = error.what();
      good = false;
    }
    const bool english =
        language == "en" || language.empty() || options_.task == "translate";
    const WerCounts counts = CountErrors(Normalized(line.reference, english),
                                         Normalized(hypothesis, english));
    total_ += counts;
    entry["hypothesis"] = hypothesis;
    entry["reference"] = line.reference;
    entry["errors"] = counts.errors();
    files_.push_back(std::move(entry));
    return good;
  }

  nlohmann::ordered_json Report() const {
    return {{"wer", total_.wer()},
            {"words", total_.words},
            {"insertions", total_.insertions},
            {"deletions", total_.deletions},
            {"substitutions", total_.substitutions},
            {"model", options_.model},
            {"profile", engine_.profile().name},
            {"seconds", seconds_},
            {"files", files_}};
  }
  const WerCounts& total() const { return total_; }
  size_t lines() const { return files_.size(); }

 private:
  std::string Normalized(const std::string& text, bool english) const {
    return english ? english_(text) : NormalizeBasic(text);
  }

  const Options options_;
  const std::filesystem::path folder_;
  const EnglishNormalizer english_;
  Engine engine_;
  DecodePlan plan_;
  WindowModel model_;
  RecordingReader sounds_;
  WerCounts total_;
  double seconds_ = 0;
  nlohmann::ordered_json files_ = nlohmann::ordered_json::array();
};

class EvalCommand : public Command {
 public:
  void Describe(CLI::App& app) override {
    app.description(
        "Word error rate over a manifest, after Whisper's normaliser "
        "(English's where the language is English).");
    app.add_option("--manifest", manifest_,
                   "file of lines path TAB text; paths relative to it")
        ->required();
    app.add_option("--json", json_, "print JSON with every file");
    AddEngineOptions(app, options_);
  }

  int Run() override {
    CheckOptions(options_);
    const std::vector<Line> lines = ReadManifest(manifest_);
    Evaluation evaluation(options_,
                          std::filesystem::path(manifest_).parent_path());
    ProgressLine progress(manifest_, "lines");
    const StopSignals signals(
        "stopping after this window; the same again stops at once");
    bool all_done = true;
    for (size_t i = 0; i < lines.size() && !StopAsked(); ++i) {
      all_done &= evaluation.Run(
          lines[i], i + 1 < lines.size() ? &lines[i + 1] : nullptr);
      progress.Show(double(i + 1), double(lines.size()));
    }
    progress.Clear();
    if (StopAsked())
      std::cerr << fmt::format("sotto: {}: stopped after {} of {} lines\n",
                               manifest_, evaluation.lines(), lines.size());
    Print(evaluation);
    if (StopAsked()) return kStopped;
    return all_done ? kDone : kFailed;
  }

 private:
  void Print(const Evaluation& evaluation) const {
    const WerCounts& total = evaluation.total();
    if (json_) {
      // A manifest may hold bytes that are no UTF-8; JSON may not.
      std::cout << evaluation.Report().dump(
                       1, ' ', false, nlohmann::json::error_handler_t::replace)
                << '\n';
      return;
    }
    std::cout << fmt::format(
        "WER {:.2f} %: {} words, {} inserted, {} deleted, {} substituted\n",
        100 * total.wer(), total.words, total.insertions, total.deletions,
        total.substitutions);
  }

  Options options_;
  std::string manifest_;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeEval() { return std::make_unique<EvalCommand>(); }

}  // namespace sotto::cli

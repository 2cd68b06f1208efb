// SPDX-License-Identifier: MIT
// sotto transcribe: the main job.
#include "engine/transcribe.h"

#include <CLI/CLI.hpp>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "apps/cli/commands.h"
#include "apps/cli/common.h"
#include "apps/cli/files.h"
#include "apps/cli/recording.h"
#include "base/error.h"
#include "base/stop_signal.h"
#include "engine/engine.h"
#include "engine/window_model.h"
#include "output/timestamp.h"
#include "output/writer.h"
#include "text/languages.h"

namespace sotto::cli {
namespace {

using Clock = std::chrono::steady_clock;

double Seconds(Clock::time_point since) {
  return std::chrono::duration<double>(Clock::now() - since).count();
}

// What the command line says besides the engine's Options.
struct Output {
  std::string format;     // empty: no files
  std::string directory;  // empty: no files, or "." with a format
  bool verbose = true;
  bool detect_language = false;
  bool timings = false;
  bool fp16 = true;
};

// How far a transcription came, in seconds of its file.
struct Heard {
  double begin = 0, end = 0, whole = 0;
  bool stopped = false;
};

// Runs one file after another on one model; knows what went wrong so far.
class Job {
 public:
  Job(const Options& options, const Output& output)
      : options_(options), output_(output) {}

  // Returns whether all of it was transcribed; reports what was not. `next`:
  // the file after it, null where there is none.
  bool Run(const std::filesystem::path& file,
           const std::filesystem::path* next) {
    const auto start = Clock::now();
    const std::unique_ptr<Recording> recording = files_->Take(file);
    const AudioReader& reader = recording->reader;
    MelSource& sound = recording->sound;
    for (const std::string& warning : reader.warnings())
      std::cerr << "warning: " << warning << '\n';
    const std::string name = file == "-" ? "stdin" : file.string();
    if (sound.samples() == 0 && !reader.damaged())
      std::cerr << fmt::format("warning: {}: no samples{}, so no text\n", name,
                               options_.offset > 0 ? " after --offset" : "");
    if (output_.detect_language) {
      PrintLanguage(file, sound);
    } else {
      const StopSignals signals(
          "stopping after this window; the same again stops at once");
      Heard heard;
      const Transcript transcript = TranscribeFile(sound, next, &heard);
      const bool any = !heard.stopped || heard.end > heard.begin;
      const bool written = any && Write(name, transcript);
      if (heard.stopped) TellStop(name, heard, written);
      sound_seconds_ += heard.end - heard.begin;
      wall_seconds_ += Seconds(start);
    }
    if (!reader.damaged()) return true;
    std::cerr << "sotto: " << reader.damage() << '\n';
    return false;
  }

  // Loads the model the first time it is needed.
  Engine& engine() {
    if (engine_ == nullptr) {
      const auto start = Clock::now();
      engine_ = std::make_unique<Engine>(
          FindModel(options_.model),
          EngineOptions{options_.profile, options_.device, options_.threads});
      plan_ = MakeDecodePlan(options_, engine_->tokenizer());
      engine_->Warmup();
      model_ = std::make_unique<WindowModel>(*engine_);
      files_.emplace(AudioOptions{options_.offset, options_.duration},
                     engine_->spec().n_mels);
      load_seconds_ = Seconds(start);
    }
    return *engine_;
  }

  void PrintTimings() const {
    if (model_ == nullptr) return;
    const StageTimes& times = model_->times();
    std::cerr << fmt::format(
        "{:.1f} s of sound in {:.2f} s, {:.1f} x real time; load {:.2f} s; "
        "encoder {:.0f} ms, cross_kv {:.0f} ms, prefill {:.0f} ms, decode "
        "{:.0f} ms ({} tokens, {:.2f} ms each); {}, {} threads, model {}, "
        "encoder on {}\n",
        sound_seconds_, wall_seconds_,
        wall_seconds_ > 0 ? sound_seconds_ / wall_seconds_ : 0.0, load_seconds_,
        times.ms[0], times.ms[1], times.ms[2], times.ms[3], times.calls[3],
        times.calls[3] > 0 ? times.ms[3] / double(times.calls[3]) : 0.0,
        engine_->profile().name, engine_->pool().threads(), options_.model,
        engine_->encoder_device());
    const AheadTimes ahead = model_->ahead_times();
    if (ahead.encoded > 0)
      std::cerr << fmt::format(
          "{} windows encoded ahead: {} used, {} dropped, {:.0f} ms waited\n",
          ahead.encoded, ahead.used, ahead.dropped, ahead.waited_ms);
  }

 private:
  void PrintLanguage(const std::filesystem::path& file, MelSource& sound) {
    const auto [code, probability] = DetectLanguageOf(*model_, sound);
    std::cout << file.string() << '\t' << code << '\t'
              << fmt::format("{:.4f}", probability) << std::endl;
  }

  Transcript TranscribeFile(MelSource& sound, const std::filesystem::path* next,
                            Heard* heard) {
    *heard = {.begin = options_.offset,
              .end = options_.offset,
              .whole = options_.offset + sound.duration()};
    ProgressLine progress(!output_.verbose || !StdoutIsTerminal());
    TranscribeEvents events;
    if (options_.language.empty() && engine_->tokenizer().is_multilingual())
      events.language = [](const std::string& code, double probability) {
        std::cerr << fmt::format("detected language: {} ({:.0f} %)\n",
                                 LanguageName(code), probability * 100);
      };
    if (output_.verbose)
      events.segment = [&](const Segment& segment) {
        progress.Clear();
        std::cout << SegmentLine(segment) << std::endl;
      };
    events.progress = [&](double done, double total) {
      heard->end = heard->begin + done;
      progress.Show(done, total);
    };
    events.stop = [&] { return heard->stopped = StopAsked(); };
    if (next != nullptr) events.next = [&] { return files_->ReadEarly(*next); };
    Transcript transcript = Transcribe(*model_, sound, *plan_, events);
    if (!heard->stopped) heard->end = heard->whole;
    return transcript;
  }

  // Where the sound was left, and how to go on from there.
  void TellStop(const std::string& name, const Heard& heard,
                bool written) const {
    std::string line =
        fmt::format("sotto: {}: stopped at {} of {}", name,
                    FormatTimestamp(heard.end), FormatTimestamp(heard.whole));
    if (written) line += ", written until there";
    if (options_.duration == 0 && options_.clip_timestamps == "0" &&
        heard.end > heard.begin)
      line += fmt::format("; --offset {:.2f}{} goes on from there", heard.end,
                          written ? " with another --output-dir" : "");
    std::cerr << line << '\n';
  }

  // Returns whether files were asked for.
  bool Write(const std::string& name, const Transcript& transcript) {
    if (output_.format.empty() && output_.directory.empty()) return false;
    const std::filesystem::path directory =
        output_.directory.empty() ? "." : output_.directory;
    WriteTranscript(output_.format.empty() ? "all" : output_.format, transcript,
                    directory, OutputName(name));
    return true;
  }

  // `name`, or one that no other file of this run has: nobody's text is lost.
  std::filesystem::path OutputName(const std::filesystem::path& name) {
    const std::filesystem::path whole = std::filesystem::absolute(name);
    std::string stem = name.stem().string();
    for (int n = 2; names_.emplace(stem, whole).first->second != whole; ++n)
      stem = fmt::format("{}-{}", name.stem().string(), n);
    if (stem != name.stem().string() && told_.insert(stem).second)
      std::cerr << fmt::format(
          "warning: {}: its text goes to {}, an earlier file has its name\n",
          name.string(), stem);
    return stem + name.extension().string();
  }

  const Options options_;
  const Output output_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<WindowModel> model_;
  std::optional<DecodePlan> plan_;
  std::optional<RecordingReader> files_;
  std::map<std::string, std::filesystem::path> names_;  // of outputs: whose
  std::set<std::string> told_;
  double load_seconds_ = 0, sound_seconds_ = 0, wall_seconds_ = 0;
};

class TranscribeCommand : public Command {
 public:
  void Describe(CLI::App& app) override {
    app.description(
        "Speech in audio or video files to text. Text goes to stdout as it "
        "comes, everything else to stderr.");
    app.add_option("files", words_,
                   "audio or video files, folders of them, or - for stdin");
    AddEngineOptions(app, options_);
    app.add_option("-f,--output-format", output_.format,
                   "files to write: txt, srt, vtt, tsv, json or all; default: "
                   "none, text goes to stdout only");
    app.add_option("-o,--output-dir", output_.directory,
                   "folder for the files; given alone it means all formats");
    app.add_option("--verbose", output_.verbose,
                   "print each segment to stdout as it comes");
    app.add_option("--detect-language", output_.detect_language,
                   "print the language of each file instead of its text");
    app.add_option("--timings", output_.timings,
                   "print timings to stderr at the end");
    app.add_option("--fp16", output_.fp16,
                   "False: compute in f32, as --profile cpu-f32");
  }

  int Run() override {
    // First: after -f others expect a file.
    if (!output_.format.empty()) ParseOutputFormats(output_.format);
    if (words_.empty())
      Fail(ErrorCode::kBadInput, "no files given; see sotto transcribe --help");
    if (!output_.fp16 && options_.profile.empty()) options_.profile = "cpu-f32";
    CheckOptions(options_);
    if (!output_.format.empty() || !output_.directory.empty())
      MakeOutputFolder(output_.directory.empty() ? "." : output_.directory);

    Job job(options_, output_);
    job.engine();  // a wrong model or option is told before any file
    bool all_done = true, stopped = false;
    const auto files = ExpandFiles(words_, &all_done);
    for (size_t i = 0; i < files.size() && !stopped; ++i) {
      try {
        all_done &=
            job.Run(files[i], i + 1 < files.size() ? &files[i + 1] : nullptr);
      } catch (const Error& error) {
        if (error.code() == ErrorCode::kInternal) throw;
        std::cerr << "sotto: " << error.what() << '\n';
        all_done = false;
      }
      if (StopAsked() && i + 1 < files.size())
        std::cerr << "sotto: stopped; not begun: " << files.size() - i - 1
                  << (files.size() - i == 2 ? " file\n" : " files\n");
      stopped = StopAsked();
    }
    if (output_.timings) job.PrintTimings();
    return stopped ? kStopped : all_done ? kDone : kFailed;
  }

 private:
  std::vector<std::string> words_;
  Options options_;
  Output output_;
};

}  // namespace

std::unique_ptr<Command> MakeTranscribe() {
  return std::make_unique<TranscribeCommand>();
}

}  // namespace sotto::cli

// SPDX-License-Identifier: MIT
// sotto-pte-runner: speech to text with an exported program. Text goes to
// stdout, everything else to stderr. Ends with 0, 1 (a file failed), 2
// (usage) or by the signal that stopped it, whatever the files hold.
#include <iostream>
#include <new>

#include "audio/decode.h"
#include "audio/mel_source.h"
#include "base/error.h"
#include "base/log.h"
#include "base/stop_signal.h"
#include "engine/transcribe.h"
#include "flags.h"
#include "phase_clock.h"
#include "pte_model.h"
#include "report.h"
#include "runtime.h"

namespace sotto {
namespace {

constexpr int kDone = 0, kFailed = 1, kUsage = 2;
// A signal asked to stop: the process ends by it.
constexpr int kStopped = 130;

void Complain(std::string_view message) {
  std::cerr << "sotto-pte-runner: " << OneLine(message) << '\n';
}

class Runner {
 public:
  Runner(const RunnerFlags& flags, PhaseClock& clock)
      : flags_(flags), clock_(clock) {}

  int Run() {
    clock_.Switch(Phase::kLoad);
    if (!flags_.processor.empty() && !std::filesystem::exists(flags_.processor))
      Fail(ErrorCode::kNotFound, "processor_path: {}: no such file",
           flags_.processor);
    facts_.model = flags_.model;
    facts_.threads = SetRuntimeThreads(flags_.threads);
    LoadLibraries();
    PteProgram program(flags_.model);
    if (flags_.list_methods) {
      std::cout << MethodList(program) << std::flush;
      return kDone;
    }
    PteModel model(program, flags_.tokenizer, clock_);
    DecodePlan plan = MakeDecodePlan(flags_.decode, model.tokenizer());
    plan.search.suppress_tokens = model.suppress_tokens();
    if (flags_.verbose) Tell(program, model);
    clock_.Switch(Phase::kOther);

    bool all_done = true;
    for (const std::string& file : flags_.audio) {
      try {
        all_done &= Transcribe(file, model, plan);
      } catch (const Error& error) {
        if (error.code() == ErrorCode::kInternal) throw;
        Complain(error.what());
        all_done = false;
      }
      clock_.Switch(Phase::kOther);
      if (StopAsked()) break;
    }
    if (flags_.stats) std::cerr << StatsJson(facts_, clock_, model) << '\n';
    if (StopAsked()) return kStopped;
    return all_done ? kDone : kFailed;
  }

 private:
  void LoadLibraries() {
    if (const auto own = OwnOperators(); !own.empty()) {
      LoadOperators(own);
      facts_.operators.push_back(own.string());
    }
    for (const std::string& library : flags_.ops) {
      LoadOperators(library);
      facts_.operators.push_back(library);
    }
  }

  void Tell(const PteProgram& program, const PteModel& model) const {
    std::cerr << fmt::format("{}: {} threads, {} mels, {} tokens\n",
                             program.name(), facts_.threads, model.n_mels(),
                             model.vocab_size());
    for (const std::string& fact : model.derived())
      std::cerr << fmt::format("{}: not in the file, {}\n", program.name(),
                               fact);
    if (!flags_.processor.empty())
      std::cerr << flags_.processor << ": not used, log-mel is computed here\n";
  }

  // One line of text on stdout. Returns whether all of the sound was read.
  bool Transcribe(const std::string& file, PteModel& model,
                  const DecodePlan& plan) {
    clock_.Switch(Phase::kAudio);
    AudioReader reader(file);
    MelSource sound(
        [&](std::span<float> out) {
          clock_.Switch(Phase::kAudio);
          const size_t n = reader.Read(out);
          clock_.Switch(Phase::kMel);
          return n;
        },
        model.n_mels());
    clock_.Switch(Phase::kOther);
    for (const std::string& warning : reader.warnings())
      std::cerr << "warning: " << warning << '\n';
    if (sound.samples() == 0 && !reader.damaged())
      std::cerr << "warning: " << reader.name() << ": no samples, so no text\n";

    TranscribeEvents events;
    bool first = true;
    events.segment = [&](const Segment& segment) {
      clock_.Switch(Phase::kOther);
      std::string_view text = segment.text;
      // Whisper's words bring their own space; a line starts without.
      if (first)
        text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
      first = first && text.empty();
      std::cout << text << std::flush;
      clock_.Switch(Phase::kSampling);
    };
    const StopSignals signals(
        "stopping after this window; the same again stops at once");
    bool stopped = false;
    double done = 0;
    events.stop = [&] { return stopped = StopAsked(); };
    events.progress = [&](double seconds, double) { done = seconds; };
    try {
      sotto::Transcribe(model, sound, plan, events);
    } catch (...) {
      if (!first) std::cout << '\n' << std::flush;
      throw;
    }
    std::cout << '\n' << std::flush;
    if (stopped)
      Complain(fmt::format("{}: stopped after {:.2f} s of {:.2f} s", file, done,
                           sound.duration()));
    facts_.audio_s += stopped ? done : sound.duration();
    ++facts_.files;
    if (!reader.damaged()) return true;
    Complain(reader.damage());
    return false;
  }

  const RunnerFlags& flags_;
  PhaseClock& clock_;
  RunFacts facts_;
};

int Main(int argc, char** argv) {
  PhaseClock clock;
  SetLogSink([](LogLevel level, std::string_view line) {
    std::cerr << (level == LogLevel::kWarning ? "warning: " : "") << line
              << '\n';
  });
  RunnerFlags flags;
  try {
    std::string text;
    const auto parsed = ParseFlags(argc, argv, &text);
    if (!parsed) {
      std::cout << text;
      return kDone;
    }
    flags = *parsed;
  } catch (const Error& error) {
    Complain(std::string(error.what()) + "; see sotto-pte-runner --help");
    return kUsage;
  }
  StartRuntime(flags.verbose);
  CatchFaults();
  return Runner(flags, clock).Run();
}

}  // namespace
}  // namespace sotto

int main(int argc, char** argv) {
  try {
    const int status = sotto::Main(argc, argv);
    if (status == sotto::kStopped) {
      std::cout.flush();
      sotto::EndByStopSignal();
    }
    return status;
  } catch (const sotto::Error& error) {
    sotto::Complain(error.what());
  } catch (const std::bad_alloc&) {
    sotto::Complain("out of memory");
  } catch (const std::exception& error) {
    sotto::Complain(std::string("internal error: ") + error.what());
  }
  return sotto::kFailed;
}

// SPDX-License-Identifier: MIT
#include "flags.h"

#include <CLI/CLI.hpp>
#include <charconv>

#include "base/error.h"
#include "engine/version.h"

namespace sotto {
namespace {

// Both spellings: "--model_path,--model-path".
std::string Both(std::string name) {
  std::string dashed = name;
  std::replace(dashed.begin(), dashed.end(), '_', '-');
  return dashed == name ? "--" + name : "--" + name + ",--" + dashed;
}

int Whole(const std::string& flag, const std::string& text,
          std::string_view want) {
  int value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    Fail(ErrorCode::kBadInput, "--{} is '{}', want {}", flag, text, want);
  return value;
}

// As text first, so that every wrong value gets our own line.
struct Words {
  std::string threads = "-1";
  std::string tokens;
  std::string stats;
  std::string temperature;
};

void Describe(CLI::App& app, RunnerFlags& flags, Words& words) {
  app.add_option(Both("model_path"), flags.model,
                 "ExecuTorch program with encoder and text_decoder");
  app.add_option(Both("audio_path"), flags.audio,
                 "audio or video file, - for stdin; again for more files");
  app.add_option(Both("tokenizer_path"), flags.tokenizer,
                 "folder with tokenizer.json, vocab.json and merges.txt, "
                 "*.tiktoken or vocabulary.json|txt; or a ggml or GGUF "
                 "checkpoint; default: OpenAI's, by the vocabulary's size");
  app.add_option(Both("processor_path"), flags.processor,
                 "a preprocessor program: taken and not used, log-mel is "
                 "computed here");
  app.add_option(Both("cpu_threads"), words.threads,
                 "threads, 1 or more; -1: the performance cores (default)");
  app.add_option(Both("max_new_tokens"), words.tokens,
                 "tokens per 30 s window at most; default: half the text "
                 "context");
  app.add_option(Both("temperature"), words.temperature,
                 "temperature of the first attempt; 0 (default) takes the "
                 "likeliest token");
  app.add_option(Both("language"), flags.decode.language,
                 "language spoken, as code or English name; default: detected");
  app.add_option(Both("task"), flags.decode.task,
                 "transcribe (default), or translate into English");
  app.add_option(Both("ops"), flags.ops,
                 "library that registers operators; again for more");
  app.add_option(Both("stats"), words.stats,
                 "json: times and counts as one line on stderr at the end");
  app.add_flag(Both("list_methods"), flags.list_methods,
               "print the program's methods and constants, and end");
  app.add_flag("-v,--verbose", flags.verbose,
               "tell on stderr what is done, the runtime's log included");
}

void Check(RunnerFlags& flags, const Words& words) {
  flags.threads = Whole("cpu_threads", words.threads,
                        "1 or more, or -1 for the performance cores");
  if (flags.threads == 0 || flags.threads < -1 || flags.threads > 1024)
    Fail(ErrorCode::kBadInput,
         "--cpu_threads is {}, want 1 or more, or -1 for the performance cores",
         flags.threads);
  if (!words.tokens.empty()) {
    flags.decode.sample_len =
        Whole("max_new_tokens", words.tokens, "a whole number from 1 on");
    if (flags.decode.sample_len < 1)
      Fail(ErrorCode::kBadInput,
           "--max_new_tokens is {}, want a whole number from 1 on",
           words.tokens);
  }
  if (!words.temperature.empty())
    SetOption(flags.decode, "temperature", words.temperature);
  if (!words.stats.empty() && words.stats != "json")
    Fail(ErrorCode::kBadInput, "--stats is '{}', want json", words.stats);
  flags.stats = !words.stats.empty();
  CheckOptions(flags.decode);
  if (flags.model.empty())
    Fail(ErrorCode::kBadInput, "--model_path is missing");
  if (flags.audio.empty() && !flags.list_methods)
    Fail(ErrorCode::kBadInput, "--audio_path is missing");
}

}  // namespace

std::optional<RunnerFlags> ParseFlags(int argc, const char* const* argv,
                                      std::string* text) {
  RunnerFlags flags;
  Words words;
  CLI::App app(
      "Speech to text with a Whisper model exported to an ExecuTorch program. "
      "Text goes to stdout, everything else to stderr.",
      "sotto-pte-runner");
  Describe(app, flags, words);
  app.set_version_flag("--version", VersionLine());
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    *text = app.help();
    return {};
  } catch (const CLI::CallForVersion&) {
    *text = VersionLine() + "\n";
    return {};
  } catch (const CLI::ParseError& error) {
    Fail(ErrorCode::kBadInput, "{}", error.what());
  }
  Check(flags, words);
  return flags;
}

}  // namespace sotto

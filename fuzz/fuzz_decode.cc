// SPDX-License-Identifier: MIT
// A whole long-form decoding whose options and logits are the input's bytes.
// Whatever they are, it ends, and its results keep the promises below.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "decode/fallback.h"
#include "decode/language.h"
#include "decode/test_util.h"
#include "decode/window.h"

namespace sotto {
namespace {

constexpr int kTimes = 1501;

class Input {
 public:
  Input(const uint8_t* data, size_t size) : bytes_(data, size) {}
  bool empty() const { return at_ >= bytes_.size(); }
  uint8_t Byte() { return empty() ? 0 : bytes_[at_++]; }
  int Below(int n) { return (Byte() | Byte() << 8) % n; }
  bool Flag() { return (Byte() & 1) != 0; }
  std::vector<int> Tokens(int below) {
    std::vector<int> tokens(Byte() % 32);
    for (int& token : tokens) token = Below(below);
    return tokens;
  }

 private:
  std::span<const uint8_t> bytes_;
  size_t at_ = 0;
};

// One row of logits from a few bytes; after the input's end all windows end.
class ByteSource : public LogitSource {
 public:
  ByteSource(Input* input, const SpecialTokens& tokens, int n_text_ctx)
      : input_(input),
        tokens_(tokens),
        n_text_ctx_(n_text_ctx),
        row_(static_cast<size_t>(tokens.n_vocab)),
        sot_row_(row_.size()) {}
  int vocab_size() const override { return tokens_.n_vocab; }

  std::span<float> Prefill(std::span<const int> prompt, int sot_index,
                           std::span<float>* sot_logits) override {
    position_ = static_cast<int>(prompt.size());
    SOTTO_CHECK(position_ >= 1 && position_ <= n_text_ctx_);
    if (sot_index >= 0) {
      SOTTO_CHECK(prompt[static_cast<size_t>(sot_index)] == tokens_.sot);
      Fill(sot_row_);
      *sot_logits = sot_row_;
    }
    Fill(row_);
    return row_;
  }
  std::span<float> Step(int token) override {
    SOTTO_CHECK(token >= 0 && token < tokens_.n_vocab && token != tokens_.eot);
    SOTTO_CHECK(++position_ <= n_text_ctx_);
    Fill(row_);
    return row_;
  }

 private:
  void Fill(std::span<float> row) {
    if (input_->empty()) {
      std::fill(row.begin(), row.end(), 0.0f);
      row[static_cast<size_t>(tokens_.eot)] = 50;
      return;
    }
    const int kind = input_->Byte();
    const int span = kind % 3 == 0 ? 1 : 12;
    testing::ScriptRow(input_->Byte(), {}, span, row);
    const int n = tokens_.n_vocab;
    if (kind & 4) row[static_cast<size_t>(input_->Byte() % 52)] = 20;
    if (kind & 8)
      row[static_cast<size_t>(51 + (input_->Byte() | kind << 4) % kTimes)] = 22;
    if (kind & 16) row[static_cast<size_t>(tokens_.no_speech)] = 24;
    constexpr float kOdd[] = {std::numeric_limits<float>::quiet_NaN(),
                              std::numeric_limits<float>::infinity(),
                              -std::numeric_limits<float>::infinity(), -3e38f};
    if (kind == 0xff)
      row[static_cast<size_t>(input_->Below(n))] = kOdd[input_->Byte() % 4];
    if (kind == 0xfe) std::fill(row.begin(), row.end(), kOdd[2]);
  }

  Input* input_;
  const SpecialTokens& tokens_;
  int n_text_ctx_;
  int position_ = 0;
  std::vector<float> row_, sot_row_;
};

struct Options {
  SearchOptions search;
  FallbackOptions fallback;
  LongFormOptions long_form;
  int n_text_ctx = 0;
  int frames = 0;

  explicit Options(Input* input) {
    search.task = input->Flag() ? Task::kTranslate : Task::kTranscribe;
    search.sample_len = input->Byte() % 64;
    search.prefix = input->Tokens(52);
    if (input->Flag()) search.suppress_tokens = input->Tokens(30);
    search.suppress_blank = input->Flag();
    search.without_timestamps = input->Flag();
    search.max_initial_timestamp = input->Byte() / 50.0;
    search.seed = input->Byte();
    if (input->Flag()) fallback.temperatures = {input->Byte() / 100.0};
    if (input->Flag()) fallback.logprob_threshold.reset();
    if (input->Flag()) fallback.no_speech_threshold = input->Byte() / 255.0;
    if (input->Flag()) fallback.compression_ratio_threshold.reset();
    long_form.condition_on_previous_text = input->Flag();
    long_form.initial_prompt = input->Tokens(52);
    long_form.carry_initial_prompt = input->Flag();
    if (input->Flag()) {
      long_form.clip_timestamps.clear();
      for (int n = input->Byte() % 6; n > 0; --n)
        long_form.clip_timestamps.push_back(input->Below(9000) / 100.0);
    }
    n_text_ctx = 8 + input->Byte() % 80;
    frames = input->Below(9000);
  }
};

void CheckResult(const Hypothesis& result, const Options& options,
                 const SpecialTokens& tokens) {
  SOTTO_CHECK(std::isfinite(result.avg_logprob) && result.avg_logprob < 1e-6);
  SOTTO_CHECK(result.no_speech_prob >= 0 && result.no_speech_prob <= 1.000001);
  if (options.search.without_timestamps) return;
  const auto& all = result.tokens;
  int latest = tokens.timestamp_begin;
  for (size_t i = 0; i < all.size(); ++i) {
    SOTTO_CHECK(all[i] != tokens.no_timestamps);
    SOTTO_CHECK(i > 0 || tokens.IsTimestamp(all[i]));
    if (!tokens.IsTimestamp(all[i])) continue;
    SOTTO_CHECK(all[i] >= latest);
    latest = all[i];
    // Never three in a row, and not two at the start.
    SOTTO_CHECK(i != 1);
    SOTTO_CHECK(i < 2 || !tokens.IsTimestamp(all[i - 1]) ||
                !tokens.IsTimestamp(all[i - 2]));
  }
}

void Transcribe(Input* input) {
  const Options options(input);
  SpecialTokens tokens = testing::SmallTokens(kTimes);
  tokens.multilingual = input->Flag();
  const TextOf text_of = testing::LetterText(tokens);
  ByteSource source(input, tokens, options.n_text_ctx);
  const int language =
      tokens.multilingual ? DetectLanguage(source, tokens).front().token : -1;
  const WindowDecoder decoder(options.search, options.fallback, tokens, text_of,
                              options.n_text_ctx, 1500);
  WindowCursor cursor(options.long_form, options.fallback, tokens, text_of,
                      options.frames, options.n_text_ctx, 1500);
  std::optional<Window> before;
  size_t n_segments = 0;
  // Each window moves on by a frame at least, in each of three clips.
  for (int n = 0; const auto window = cursor.Next(); ++n) {
    SOTTO_CHECK(n <= 3 * options.frames);
    SOTTO_CHECK(window->frames >= 1 && window->frames <= kWindowFrames);
    SOTTO_CHECK(window->seek >= 0 &&
                window->seek + window->frames <= options.frames);
    // Clips may name the same stretch twice; one clip never repeats a window.
    SOTTO_CHECK(options.long_form.clip_timestamps.size() > 2 ||
                before != window);
    before = window;
    const Hypothesis best =
        decoder.Decode(source, cursor.PreviousText(), language, window->seek);
    CheckResult(best, options, tokens);
    for (const Segment& segment : cursor.Accept(best)) {
      SOTTO_CHECK(segment.id == static_cast<int>(n_segments++));
      SOTTO_CHECK(segment.seek == window->seek);
      SOTTO_CHECK(segment.start >= window->start());
      SOTTO_CHECK(segment.end <= window->start() + kWindowSeconds + 1e-9);
      if (!options.search.without_timestamps)
        SOTTO_CHECK(segment.start <= segment.end);
      SOTTO_CHECK(segment.text.empty() == segment.tokens.empty());
    }
  }
  SOTTO_CHECK(cursor.Finish("en").segments.size() == n_segments);
}

template <typename Action>
void Expecting(Action action) {
  try {
    action();
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kInternal) throw;
    SOTTO_CHECK(std::string_view(error.what()).find('\n') ==
                std::string_view::npos);
  }
}

}  // namespace

namespace testing {
long Allocations() { return 0; }
}  // namespace testing

}  // namespace sotto

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data),
                         std::min<size_t>(size, 40));
  sotto::Expecting([&] { sotto::ParseSuppressTokens(text); });
  sotto::Expecting([&] { sotto::ParseClipTimestamps(text); });
  sotto::Expecting([&] {
    sotto::Input input(data, size);
    sotto::Transcribe(&input);
  });
  return 0;
}

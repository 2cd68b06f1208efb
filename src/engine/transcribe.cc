// SPDX-License-Identifier: MIT
#include "engine/transcribe.h"

#include <algorithm>
#include <tuple>

#include "decode/language.h"
#include "decode/window.h"
#include "text/languages.h"

namespace sotto {
namespace {

// A clip may end inside the window: what lies behind its end is not heard.
void CutMel(std::span<float> mel, int frames) {
  for (size_t row = 0; row < mel.size(); row += kWindowFrames)
    std::fill(mel.begin() + static_cast<ptrdiff_t>(row) + frames,
              mel.begin() + static_cast<ptrdiff_t>(row) + kWindowFrames, 0.0f);
}

void ReadWindow(const MelSource& sound, const Window& window,
                std::span<float> mel) {
  sound.Window(window.seek, mel);
  CutMel(mel, window.frames);
}

WindowCursor CursorOf(const SpeechModel& model, const MelSource& sound,
                      const DecodePlan& plan, const TextOf& text) {
  return WindowCursor(plan.long_form, plan.fallback, model.special_tokens(),
                      text, static_cast<int>(sound.content_frames()),
                      model.n_text_ctx(), model.n_audio_ctx());
}

// Gives the model's device a window that is likely to come next, to begin while
// another one is decoded. Does nothing for a model that encodes none ahead.
class Ahead {
 public:
  Ahead(SpeechModel& model, const MelSource& sound, const DecodePlan& plan,
        const TextOf& text, const TranscribeEvents& events)
      : model_(model),
        sound_(sound),
        plan_(plan),
        text_(text),
        events_(events) {}

  void Begin(const Window& window) { Begin(sound_, window); }

  // The window after the cursor's; after its last one, what comes first of the
  // next recording.
  void Begin(const WindowCursor& cursor) {
    if (const auto window = cursor.Guess()) return Begin(*window);
    if (model_.next_mel().empty()) return;
    if (!asked_ && events_.next) next_ = events_.next();
    asked_ = true;
    if (next_ == nullptr) return;
    if (!plan_.language.empty()) {
      const auto first = CursorOf(model_, *next_, plan_, text_).Guess();
      if (first) Begin(*next_, *first);
      return;
    }
    next_->DetectionWindow(model_.next_mel());
    model_.EncodeAhead();
  }

 private:
  void Begin(const MelSource& sound, const Window& window) {
    const std::span<float> mel = model_.next_mel();
    if (mel.empty()) return;
    ReadWindow(sound, window, mel);
    model_.EncodeAhead();
  }

  SpeechModel& model_;
  const MelSource& sound_;
  const DecodePlan& plan_;
  const TextOf& text_;
  const TranscribeEvents& events_;
  bool asked_ = false;
  const MelSource* next_ = nullptr;
};

// Times of the sound heard become times of the file.
Segment Shifted(Segment segment, double offset) {
  segment.start += offset;
  segment.end += offset;
  segment.seek += static_cast<int>(offset * kFramesPerSecond + 0.5);
  return segment;
}

// Of the window that the model holds.
std::pair<std::string, double> LanguageHeard(SpeechModel& model) {
  const LanguageProbability best =
      DetectLanguage(model, model.special_tokens()).front();
  return {std::string(model.tokenizer().LanguageOfToken(best.token)),
          best.probability};
}

}  // namespace

std::pair<std::string, double> DetectLanguageOf(SpeechModel& model,
                                                MelSource& sound) {
  sound.DetectionWindow(model.mel());
  model.Encode();
  return LanguageHeard(model);
}

Transcript Transcribe(SpeechModel& model, MelSource& sound,
                      const DecodePlan& plan, const TranscribeEvents& events) {
  const SpecialTokens& tokens = model.special_tokens();
  const TextOf text = TextOfTokens(model.tokenizer());
  WindowCursor cursor = CursorOf(model, sound, plan, text);
  Ahead ahead(model, sound, plan, text, events);

  std::string language = plan.language;
  double probability = 1;
  // What the model holds: a whole window of sound is the same to detection and
  // to transcription, so one that starts the file is encoded once.
  Window encoded;
  if (language.empty()) {
    sound.DetectionWindow(model.mel());
    model.Encode();
    if (sound.content_frames() >= kWindowFrames)
      encoded = {.seek = 0, .frames = kWindowFrames};
    if (const auto first = cursor.Guess(); first && *first != encoded)
      ahead.Begin(*first);
    std::tie(language, probability) = LanguageHeard(model);
  }
  if (events.language) events.language(language, probability);

  const int language_token =
      tokens.multilingual ? model.tokenizer().LanguageToken(language) : -1;
  const WindowDecoder decoder(plan.search, plan.fallback, tokens, text,
                              model.n_text_ctx(), model.n_audio_ctx());
  while (const auto window = cursor.Next()) {
    if (events.stop && events.stop()) break;
    if (*window != encoded) {
      ReadWindow(sound, *window, model.mel());
      model.Encode();
    }
    encoded = {};
    ahead.Begin(cursor);
    const Hypothesis best = decoder.Decode(model, cursor.PreviousText(),
                                           language_token, window->seek);
    for (const Segment& segment : cursor.Accept(best))
      if (events.segment) events.segment(Shifted(segment, plan.offset));
    if (events.progress)
      events.progress(
          cursor.position() / double{kFramesPerSecond},
          static_cast<double>(sound.content_frames()) / kFramesPerSecond);
  }
  Transcript transcript = cursor.Finish(language);
  if (plan.offset > 0)
    for (Segment& segment : transcript.segments)
      segment = Shifted(std::move(segment), plan.offset);
  return transcript;
}

}  // namespace sotto

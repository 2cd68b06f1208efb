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

// Times of the sound heard become times of the file.
Segment Shifted(Segment segment, double offset) {
  segment.start += offset;
  segment.end += offset;
  segment.seek += static_cast<int>(offset * kFramesPerSecond + 0.5);
  return segment;
}

}  // namespace

std::pair<std::string, double> DetectLanguageOf(SpeechModel& model,
                                                MelSource& sound) {
  const Tokenizer& tokenizer = model.tokenizer();
  sound.DetectionWindow(model.mel());
  model.Encode();
  const LanguageProbability best =
      DetectLanguage(model, model.special_tokens()).front();
  return {std::string(tokenizer.LanguageOfToken(best.token)), best.probability};
}

Transcript Transcribe(SpeechModel& model, MelSource& sound,
                      const DecodePlan& plan, const TranscribeEvents& events) {
  const SpecialTokens& tokens = model.special_tokens();
  const TextOf text = TextOfTokens(model.tokenizer());

  std::string language = plan.language;
  double probability = 1;
  // What the model holds: a whole window of sound is the same to detection and
  // to transcription, so one that starts the file is encoded once.
  Window encoded;
  if (language.empty()) {
    std::tie(language, probability) = DetectLanguageOf(model, sound);
    if (sound.content_frames() >= kWindowFrames)
      encoded = {.seek = 0, .frames = kWindowFrames};
  }
  if (events.language) events.language(language, probability);

  const int language_token =
      tokens.multilingual ? model.tokenizer().LanguageToken(language) : -1;
  const WindowDecoder decoder(plan.search, plan.fallback, tokens, text,
                              model.n_text_ctx(), model.n_audio_ctx());
  WindowCursor cursor(plan.long_form, plan.fallback, tokens, text,
                      static_cast<int>(sound.content_frames()),
                      model.n_text_ctx(), model.n_audio_ctx());
  while (const auto window = cursor.Next()) {
    if (*window != encoded) {
      sound.Window(window->seek, model.mel());
      CutMel(model.mel(), window->frames);
      model.Encode();
    }
    encoded = {};
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

// SPDX-License-Identifier: MIT
// The C API: an exception firewall over the engine, nothing more.
#include <cmath>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "api/guard.h"
#include "audio/decode.h"
#include "audio/mel_source.h"
#include "base/error.h"
#include "engine/engine.h"
#include "engine/options.h"
#include "engine/transcribe.h"
#include "engine/version.h"
#include "engine/window_model.h"
#include "hub/resolve.h"
#include "output/writer.h"
#include "sotto/sotto.h"

struct sotto_engine {
  std::mutex mutex;
  sotto::Options options;
  std::unique_ptr<sotto::Engine> engine;
  std::unique_ptr<sotto::WindowModel> model;
};

struct sotto_transcript {
  sotto::Transcript transcript;
  std::string rendered;
};

namespace {

using sotto::api::Guard;
using sotto::api::Require;

void Apply(const char* const* pairs, sotto::Options* options) {
  if (pairs == nullptr) return;
  for (; *pairs != nullptr; pairs += 2) {
    if (pairs[1] == nullptr)
      sotto::Fail(sotto::ErrorCode::kBadInput, "option '{}' has no value",
                  *pairs);
    sotto::SetOption(*options, *pairs, pairs[1]);
  }
}

std::unique_ptr<sotto_transcript> Run(sotto_engine* engine,
                                      const sotto::Options& options,
                                      sotto::MelSource& sound) {
  auto result = std::make_unique<sotto_transcript>();
  result->transcript = sotto::Transcribe(
      *engine->model, sound,
      sotto::MakeDecodePlan(options, engine->engine->tokenizer()));
  return result;
}

const sotto::Segment* SegmentAt(const sotto_transcript* transcript,
                                size_t index) {
  if (transcript == nullptr || index >= transcript->transcript.segments.size())
    return nullptr;
  return &transcript->transcript.segments[index];
}

}  // namespace

const char* sotto_version(void) { return sotto::Version(); }

const char* sotto_last_error(void) { return sotto::api::g_last_error.c_str(); }

sotto_status sotto_engine_open(const char* const* options,
                               sotto_engine** engine) {
  return Guard([&] {
    Require(engine, "engine");
    *engine = nullptr;
    auto opened = std::make_unique<sotto_engine>();
    Apply(options, &opened->options);
    sotto::CheckOptions(opened->options);
    const sotto::Options& o = opened->options;
    opened->engine = std::make_unique<sotto::Engine>(
        sotto::ResolveModel(o.model, {.download = false}),
        sotto::EngineOptions{o.profile, o.device, o.threads});
    opened->model = std::make_unique<sotto::WindowModel>(*opened->engine);
    *engine = opened.release();
  });
}

void sotto_engine_close(sotto_engine* engine) {
  const std::unique_ptr<sotto_engine> owned(engine);
}

sotto_status sotto_transcribe_file(sotto_engine* engine, const char* path,
                                   const char* const* options,
                                   sotto_transcript** transcript) {
  return Guard([&] {
    Require(engine, "engine");
    Require(path, "path");
    Require(transcript, "transcript");
    *transcript = nullptr;
    const std::lock_guard lock(engine->mutex);
    sotto::Options merged = engine->options;
    Apply(options, &merged);
    sotto::AudioReader reader(path, {merged.offset, merged.duration});
    sotto::MelSource sound(reader, engine->engine->spec().n_mels);
    *transcript = Run(engine, merged, sound).release();
    if (reader.damaged())
      sotto::Fail(sotto::ErrorCode::kBadInput, "{}", reader.damage());
  });
}

sotto_status sotto_transcribe_pcm(sotto_engine* engine, const float* samples,
                                  size_t count, const char* const* options,
                                  sotto_transcript** transcript) {
  return Guard([&] {
    Require(engine, "engine");
    Require(transcript, "transcript");
    if (count > 0) Require(samples, "samples");
    *transcript = nullptr;
    const std::lock_guard lock(engine->mutex);
    sotto::Options merged = engine->options;
    Apply(options, &merged);
    sotto::MelSource sound(std::span(samples, count),
                           engine->engine->spec().n_mels);
    *transcript = Run(engine, merged, sound).release();
  });
}

const char* sotto_transcript_text(const sotto_transcript* transcript) {
  return transcript == nullptr ? "" : transcript->transcript.text.c_str();
}

const char* sotto_transcript_language(const sotto_transcript* transcript) {
  return transcript == nullptr ? "" : transcript->transcript.language.c_str();
}

size_t sotto_transcript_segments(const sotto_transcript* transcript) {
  return transcript == nullptr ? 0 : transcript->transcript.segments.size();
}

const char* sotto_segment_text(const sotto_transcript* transcript,
                               size_t index) {
  const sotto::Segment* segment = SegmentAt(transcript, index);
  return segment == nullptr ? nullptr : segment->text.c_str();
}

double sotto_segment_start(const sotto_transcript* transcript, size_t index) {
  const sotto::Segment* segment = SegmentAt(transcript, index);
  return segment == nullptr ? 0 : segment->start;
}

double sotto_segment_end(const sotto_transcript* transcript, size_t index) {
  const sotto::Segment* segment = SegmentAt(transcript, index);
  return segment == nullptr ? 0 : segment->end;
}

const char* sotto_transcript_render(sotto_transcript* transcript,
                                    const char* format) {
  const sotto_status status = Guard([&] {
    Require(transcript, "transcript");
    Require(format, "format");
    transcript->rendered = sotto::Render(format, transcript->transcript);
  });
  return status == SOTTO_OK ? transcript->rendered.c_str() : nullptr;
}

void sotto_transcript_free(sotto_transcript* transcript) {
  const std::unique_ptr<sotto_transcript> owned(transcript);
}

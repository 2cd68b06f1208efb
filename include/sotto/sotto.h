/* SPDX-License-Identifier: MIT
 *
 * Sotto's C API and its manual.
 *
 * Two handles: an engine (a loaded model) and a transcript (its result); and at
 * the end those of programs of operators.
 * Options are given by name as text, with the names of the command line
 * ("language", "initial-prompt", ...; '_' and '-' are alike), so the ABI does
 * not grow with them. `sotto transcribe --help` tells them all.
 *
 *   sotto_engine* engine = NULL;
 *   const char* options[] = {"model", "tiny.en", NULL};
 *   if (sotto_engine_open(options, &engine) != SOTTO_OK)
 *     fprintf(stderr, "%s\n", sotto_last_error());
 *   sotto_transcript* result = NULL;
 *   if (sotto_transcribe_file(engine, "talk.mp3", NULL, &result) == SOTTO_OK)
 *     puts(sotto_transcript_text(result));
 *   sotto_transcript_free(result);
 *   sotto_engine_close(engine);
 *
 * Strings are UTF-8. A string that a function returns belongs to the handle it
 * came from and lives as long as that. An engine serves one call at a time;
 * calls from several threads wait for each other. A transcript may be read by
 * any thread.
 */
#ifndef SOTTO_SOTTO_H_
#define SOTTO_SOTTO_H_

#include <stddef.h>

#if defined(__GNUC__)
#define SOTTO_API __attribute__((visibility("default")))
#else
#define SOTTO_API
#endif

#define SOTTO_VERSION_MAJOR 0
#define SOTTO_VERSION_MINOR 1
#define SOTTO_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sotto_engine sotto_engine;
typedef struct sotto_transcript sotto_transcript;
typedef struct sotto_program sotto_program;
typedef struct sotto_program_session sotto_program_session;

typedef enum sotto_status {
  SOTTO_OK = 0,
  SOTTO_BAD_INPUT = 1,   /* a file, option or argument is wrong */
  SOTTO_NOT_FOUND = 2,   /* a file or model is not there */
  SOTTO_UNSUPPORTED = 3, /* this build or machine cannot do it */
  SOTTO_OUT_OF_MEMORY = 4,
  SOTTO_DEVICE = 5,    /* the device failed while running */
  SOTTO_CANCELLED = 6, /* a callback asked to stop */
  SOTTO_INTERNAL = 7   /* a bug of Sotto's */
} sotto_status;

/* "0.1.0". Any thread. */
SOTTO_API const char* sotto_version(void);

/* One line on this thread's last failed call; "" where none failed. Lives
 * until the thread's next call. */
SOTTO_API const char* sotto_last_error(void);

/* Loads a model. `options`: name, value, name, value, ..., NULL; or NULL for
 * the defaults. They become the defaults of every transcription. "model" takes
 * a path, or a name found in the caches of this and other tools; nothing is
 * downloaded. */
SOTTO_API sotto_status sotto_engine_open(const char* const* options,
                                         sotto_engine** engine);
/* NULL is allowed. */
SOTTO_API void sotto_engine_close(sotto_engine* engine);

/* Any audio or video file, "-" for standard input. `options` as above, on top
 * of the engine's; "model", "profile", "device" and "threads" are fixed by
 * then. Audio that is damaged gives SOTTO_BAD_INPUT and still a transcript of
 * what could be read. */
SOTTO_API sotto_status sotto_transcribe_file(sotto_engine* engine,
                                             const char* path,
                                             const char* const* options,
                                             sotto_transcript** transcript);
/* `samples` of mono sound at 16 kHz in [-1, 1]; NaN counts as 0. "offset" and
 * "duration" do not apply. */
SOTTO_API sotto_status sotto_transcribe_pcm(sotto_engine* engine,
                                            const float* samples, size_t count,
                                            const char* const* options,
                                            sotto_transcript** transcript);

/* All text, and the language's code ("en"). */
SOTTO_API const char* sotto_transcript_text(const sotto_transcript* transcript);
SOTTO_API const char* sotto_transcript_language(
    const sotto_transcript* transcript);
SOTTO_API size_t sotto_transcript_segments(const sotto_transcript* transcript);
/* Text and times in seconds of segment `index`; NULL and 0 past the end. */
SOTTO_API const char* sotto_segment_text(const sotto_transcript* transcript,
                                         size_t index);
SOTTO_API double sotto_segment_start(const sotto_transcript* transcript,
                                     size_t index);
SOTTO_API double sotto_segment_end(const sotto_transcript* transcript,
                                   size_t index);
/* The transcript as "txt", "srt", "vtt", "tsv" or "json"; NULL for another
 * word (see sotto_last_error). Lives until the next call on this handle. */
SOTTO_API const char* sotto_transcript_render(sotto_transcript* transcript,
                                              const char* format);
/* NULL is allowed. */
SOTTO_API void sotto_transcript_free(sotto_transcript* transcript);

/* Programs of operators (docs/operators.md). First the libraries that have the
 * operators, then the programs that call them, then sessions, each one stream's
 * memory:
 *
 *   sotto_load_ops("libsotto_cross_attn_ops.so");
 *   sotto_program_open("decoder.ops", &program);
 *   sotto_program_start(program, &session);
 *   sotto_program_set(session, "hidden", hidden, sizeof hidden);
 *   sotto_program_run(session);
 *   sotto_program_get(session, "logits", logits, sizeof logits);
 */

/* Loads an operator library (sotto/ops.h) into this process. Loading it again,
 * by whatever path, changes nothing. Two libraries that define one operator:
 * SOTTO_BAD_INPUT, the second is left out. Any thread. */
SOTTO_API sotto_status sotto_load_ops(const char* path);
/* SOTTO_BAD_INPUT while a program that uses the library is open. Any thread. */
SOTTO_API sotto_status sotto_unload_ops(const char* path);
/* Name of operator `index` in sorted order, each once; NULL past the end. Lives
 * until this thread's next call of it. Any thread. */
SOTTO_API const char* sotto_op_name(size_t index);

/* Loads a program and finds all its operators now, never while it runs:
 * SOTTO_UNSUPPORTED where some are not registered, and sotto_last_error lists
 * them all; load their library and try again. */
SOTTO_API sotto_status sotto_program_open(const char* path,
                                          sotto_program** program);
/* NULL is allowed. Sessions of it keep working. */
SOTTO_API void sotto_program_close(sotto_program* program);

/* A new session; one program serves any number of them, each used by one thread
 * at a time. */
SOTTO_API sotto_status sotto_program_start(const sotto_program* program,
                                           sotto_program_session** session);
/* Writes an input; reads any variable but a view. `bytes` must be its size. */
SOTTO_API sotto_status sotto_program_set(sotto_program_session* session,
                                         const char* variable,
                                         const void* data, size_t bytes);
SOTTO_API sotto_status sotto_program_get(const sotto_program_session* session,
                                         const char* variable, void* data,
                                         size_t bytes);
/* Runs once. After a failed run only sotto_program_reset helps. */
SOTTO_API sotto_status sotto_program_run(sotto_program_session* session);
/* As a new session: states begin anew. Call it between recordings. */
SOTTO_API sotto_status sotto_program_reset(sotto_program_session* session);
/* NULL is allowed. */
SOTTO_API void sotto_program_end(sotto_program_session* session);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* SOTTO_SOTTO_H_ */

// SPDX-License-Identifier: MIT
// The C API of operators and their programs.
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "api/guard.h"
#include "ops/program.h"
#include "ops/registry.h"
#include "ops/session.h"
#include "sotto/sotto.h"

struct sotto_program {
  std::shared_ptr<const sotto::OpProgram> program;
};

struct sotto_program_session {
  explicit sotto_program_session(const sotto_program& of)
      : session(of.program) {}
  sotto::OpSession session;
};

namespace {

using sotto::OpRegistry;
using sotto::api::Guard;
using sotto::api::Require;

}  // namespace

sotto_status sotto_load_ops(const char* path) {
  return Guard([&] {
    Require(path, "path");
    OpRegistry::Process().Load(path);
  });
}

sotto_status sotto_unload_ops(const char* path) {
  return Guard([&] {
    Require(path, "path");
    OpRegistry::Process().Remove(path);
  });
}

const char* sotto_op_name(size_t index) {
  thread_local std::string name;
  const sotto_status status = Guard([&] {
    const std::vector<std::string> names = OpRegistry::Process().Names();
    name = index < names.size() ? names[index] : "";
  });
  return status == SOTTO_OK && !name.empty() ? name.c_str() : nullptr;
}

sotto_status sotto_program_open(const char* path, sotto_program** program) {
  return Guard([&] {
    Require(path, "path");
    Require(program, "program");
    *program = nullptr;
    auto opened = std::make_unique<sotto_program>();
    opened->program = sotto::OpProgram::Load(path);
    *program = opened.release();
  });
}

void sotto_program_close(sotto_program* program) {
  const std::unique_ptr<sotto_program> owned(program);
}

sotto_status sotto_program_start(const sotto_program* program,
                                 sotto_program_session** session) {
  return Guard([&] {
    Require(program, "program");
    Require(session, "session");
    *session = nullptr;
    *session = std::make_unique<sotto_program_session>(*program).release();
  });
}

sotto_status sotto_program_set(sotto_program_session* session,
                               const char* variable, const void* data,
                               size_t bytes) {
  return Guard([&] {
    Require(session, "session");
    Require(variable, "variable");
    if (bytes > 0) Require(data, "data");
    session->session.SetInput(
        variable, std::span(static_cast<const std::byte*>(data), bytes));
  });
}

sotto_status sotto_program_get(const sotto_program_session* session,
                               const char* variable, void* data, size_t bytes) {
  return Guard([&] {
    Require(session, "session");
    Require(variable, "variable");
    if (bytes > 0) Require(data, "data");
    session->session.Read(variable,
                          std::span(static_cast<std::byte*>(data), bytes));
  });
}

sotto_status sotto_program_run(sotto_program_session* session) {
  return Guard([&] {
    Require(session, "session");
    session->session.Run();
  });
}

sotto_status sotto_program_reset(sotto_program_session* session) {
  return Guard([&] {
    Require(session, "session");
    session->session.Reset();
  });
}

void sotto_program_end(sotto_program_session* session) {
  const std::unique_ptr<sotto_program_session> owned(session);
}

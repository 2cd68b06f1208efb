/* SPDX-License-Identifier: MIT
 * usage: uses_ops PROGRAM LIBRARY: rows 14 and 17 through the C API. Prints
 * what went wrong and gives 1. */
#include <sotto/sotto.h>
#include <stdio.h>
#include <string.h>

#define EXPECT(condition)                                              \
  if (!(condition)) {                                                  \
    fprintf(stderr, "line %d: " #condition ": %s\n", __LINE__,         \
            sotto_last_error());                                       \
    return 1;                                                          \
  }

int main(int argc, char** argv) {
  sotto_program* program = NULL;
  sotto_program_session* session = NULL;
  const float x[2] = {1.5f, -3};
  float y[2] = {0, 0};
  if (argc != 3) return 2;
  /* Before its library: refused now, by name; then the same call works. */
  EXPECT(sotto_op_name(0) == NULL);
  EXPECT(sotto_program_open(argv[1], &program) == SOTTO_UNSUPPORTED);
  EXPECT(strstr(sotto_last_error(), "outside::twice.out") != NULL);
  EXPECT(program == NULL);
  EXPECT(sotto_load_ops(argv[2]) == SOTTO_OK);
  EXPECT(sotto_load_ops(argv[2]) == SOTTO_OK);
  EXPECT(strcmp(sotto_op_name(0), "outside::twice.out") == 0);
  EXPECT(sotto_op_name(1) == NULL);
  EXPECT(sotto_program_open(argv[1], &program) == SOTTO_OK);
  EXPECT(sotto_unload_ops(argv[2]) == SOTTO_BAD_INPUT);

  EXPECT(sotto_program_start(program, &session) == SOTTO_OK);
  EXPECT(sotto_program_set(session, "x", x, sizeof x) == SOTTO_OK);
  EXPECT(sotto_program_set(session, "x", x, 1) == SOTTO_BAD_INPUT);
  EXPECT(sotto_program_set(session, "y", x, sizeof x) == SOTTO_BAD_INPUT);
  EXPECT(sotto_program_set(session, "z", x, sizeof x) == SOTTO_NOT_FOUND);
  EXPECT(sotto_program_run(session) == SOTTO_OK);
  EXPECT(sotto_program_get(session, "y", y, sizeof y) == SOTTO_OK);
  EXPECT(y[0] == 3 && y[1] == -6);
  EXPECT(sotto_program_reset(session) == SOTTO_OK);
  EXPECT(sotto_program_get(session, "y", y, sizeof y) == SOTTO_OK);
  EXPECT(y[0] == 0 && y[1] == 0);

  sotto_program_close(program);
  EXPECT(sotto_unload_ops(argv[2]) == SOTTO_BAD_INPUT); /* the session's */
  sotto_program_end(session);
  EXPECT(sotto_unload_ops(argv[2]) == SOTTO_OK);
  EXPECT(sotto_unload_ops(argv[2]) == SOTTO_NOT_FOUND);
  EXPECT(sotto_program_open(argv[1], &program) == SOTTO_UNSUPPORTED);
  EXPECT(sotto_program_open(NULL, &program) == SOTTO_BAD_INPUT);
  sotto_program_close(NULL);
  sotto_program_end(NULL);
  return 0;
}

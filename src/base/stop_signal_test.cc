// SPDX-License-Identifier: MIT
#include "base/stop_signal.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <string>

namespace sotto {
namespace {

struct Child {
  int signal = 0;   // that it died of
  int status = -1;  // that it exited with
  std::string said;
};

// Runs `work` in a process of its own, with its stderr in a pipe.
Child InChild(const std::function<int()>& work) {
  int ends[2];
  if (::pipe(ends) != 0) ADD_FAILURE() << "no pipe";
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::dup2(ends[1], STDERR_FILENO);
    ::_exit(work());
  }
  ::close(ends[1]);
  Child child;
  char byte;
  while (::read(ends[0], &byte, 1) == 1) child.said += byte;
  ::close(ends[0]);
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (WIFSIGNALED(status)) child.signal = WTERMSIG(status);
  if (WIFEXITED(status)) child.status = WEXITSTATUS(status);
  return child;
}

TEST(StopSignals, FirstIsNotedAndTheProcessMayEndByIt) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    const Child child = InChild([&] {
      const StopSignals signals("stopping");
      if (StopAsked()) return 1;
      ::raise(signal);
      if (!StopAsked()) return 2;
      EndByStopSignal();
      return 3;
    });
    EXPECT_EQ(child.signal, signal) << child.status;
    EXPECT_EQ(child.said, "stopping\n");
  }
}

TEST(StopSignals, SecondEndsAtOnceWhicheverItIs) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    const Child child = InChild([&] {
      const StopSignals signals("stopping");
      ::raise(SIGINT);
      ::raise(signal);
      return 1;
    });
    EXPECT_EQ(child.signal, signal) << child.status;
    EXPECT_EQ(child.said, "stopping\n");
  }
}

TEST(StopSignals, WhatWasIgnoredStaysIgnored) {
  const Child child = InChild([] {
    ::signal(SIGHUP, SIG_IGN);  // as nohup does
    {
      const StopSignals signals("stopping");
      ::raise(SIGHUP);
      if (StopAsked()) return 1;
    }
    ::raise(SIGHUP);
    return 0;
  });
  EXPECT_EQ(child.status, 0);
  EXPECT_EQ(child.said, "");
}

TEST(StopSignals, AfterwardsSignalsDoWhatTheyDid) {
  const Child child = InChild([] {
    { const StopSignals signals("stopping"); }
    ::raise(SIGTERM);
    return 1;
  });
  EXPECT_EQ(child.signal, SIGTERM);
  EXPECT_EQ(child.said, "");
  EXPECT_EQ(InChild([] { return EndByStopSignal(), 0; }).status, 0);
}

}  // namespace
}  // namespace sotto

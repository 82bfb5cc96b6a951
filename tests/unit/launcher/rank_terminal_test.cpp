// What is typed into a rank's terminal faster than the rank reads it.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <termios.h>
#include <unistd.h>

#include "worker/launcher/rank_terminal.h"

namespace ultramarine::launcher {
namespace {

TEST(RankTerminal, WhatIsLostOfTheInputIsSaidOnce) {
  net::Loop loop;
  std::string name = "/tmp/rank-terminal-XXXXXX";
  const int output = ::mkstemp(name.data());
  RankTerminal terminal(loop, {.rows = 24, .columns = 80}, output);
  const int rank = ::fcntl(terminal.descriptor(), F_DUPFD_CLOEXEC, 3);
  termios raw{};
  ::tcgetattr(rank, &raw);
  ::cfmakeraw(&raw);
  ::tcsetattr(rank, TCSANOW, &raw);
  terminal.started();
  const auto printed = [&] {
    std::string text(std::size_t{1} << 16, '\0');
    text.resize(static_cast<std::size_t>(::pread(output, text.data(), text.size(), 0)));
    return text;
  };

  const std::string much(std::size_t{1} << 20, 'x');
  terminal.type(much);
  EXPECT_EQ(printed(), "") << "that much may wait";
  terminal.type(much);
  EXPECT_THAT(printed(), testing::HasSubstr("what was typed last is lost: 1 MiB waits already"));
  const std::string once = printed();
  terminal.type(much);
  EXPECT_EQ(printed(), once);

  // The rank reads at last, all of the first and nothing else, and what is typed then arrives.
  ::fcntl(rank, F_SETFL, O_NONBLOCK);
  std::string read;
  const auto take = [&] {
    char buffer[65536];
    for (ssize_t got = 0; (got = ::read(rank, buffer, sizeof buffer)) > 0;)
      read.append(buffer, static_cast<std::size_t>(got));
    loop.run_for(std::chrono::milliseconds(1));
  };
  for (int turns = 0; turns < 30'000 && read.size() < much.size(); ++turns) take();
  EXPECT_EQ(read, much);
  read.clear();
  terminal.type("y");
  for (int turns = 0; turns < 10'000 && read.empty(); ++turns) take();
  EXPECT_EQ(read, "y");
  ::close(rank);
  ::close(output);
  ::unlink(name.c_str());
}

}  // namespace
}  // namespace ultramarine::launcher

// How output looks, without a terminal: widths, clipping, colour rules, tables, progress.
#include "scheduler/cli/terminal.h"

#include <gtest/gtest.h>

#include <clocale>
#include <sstream>

namespace ultramarine::cli {
namespace {

class Widths : public testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(std::setlocale(LC_CTYPE, "C"), nullptr); }  // no width may depend on the locale
};

TEST_F(Widths, CountColumnsAsPeopleSeeThem) {
  EXPECT_EQ(display_width("node01"), 6U);
  EXPECT_EQ(display_width("학습"), 4U);       // Hangul is two wide
  EXPECT_EQ(display_width("e\xCC\x81"), 1U);  // a combining accent takes none
  EXPECT_EQ(display_width("é"), 1U);
  EXPECT_EQ(display_width("\xFF\xFE"), 2U);  // broken bytes count one each
}

TEST_F(Widths, WhatPeopleTakeForOneCharacterIsOne) {
  EXPECT_EQ(display_width("\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB"), 2U);  // 한 in three conjoining letters
  EXPECT_EQ(display_width("😀"), 2U);
  EXPECT_EQ(display_width("👍🏽"), 2U);            // with a skin tone
  EXPECT_EQ(display_width("👩‍👩‍👧"), 2U);        // three people, joined
  EXPECT_EQ(display_width("🇰🇷🇺🇸"), 4U);          // two flags of two letters each
  EXPECT_EQ(display_width("❤️"), 2U);             // asked for as an emoji; without that it is a narrow sign
  EXPECT_EQ(display_width("❤"), 1U);
  EXPECT_EQ(display_width("ｱ"), 1U);             // half-width
  EXPECT_EQ(display_width("１"), 2U);            // full-width
  EXPECT_EQ(display_width("a\xE2\x80\x8B" "b"), 2U);  // a blank of no width
  EXPECT_EQ(clipped("👩‍👩‍👧x", 2), "…");
  EXPECT_EQ(clipped("👩‍👩‍👧xy", 3), "👩‍👩‍👧…");
  EXPECT_EQ(clipped("e\xCC\x81" "abc", 3), "e\xCC\x81" "a…");
  EXPECT_EQ(padded("학습", 6), "학습  ");
  EXPECT_EQ(padded("학습", 3), "학…");
}

TEST_F(Widths, ClippingNeverCutsACharacterInHalf) {
  EXPECT_EQ(clipped("training", 8), "training");
  EXPECT_EQ(clipped("training", 5), "trai…");
  EXPECT_EQ(clipped("학습학습", 5), "학습…");
  EXPECT_EQ(clipped("학습학습", 4), "학…");  // the second would leave no room for the mark
}

TEST_F(Widths, PrintableTextCantMoveTheCursor) {
  EXPECT_EQ(printable("a\033[2Jb\nc\td"), "a?[2Jb?c?d");
  EXPECT_EQ(printable("\xC2\x9B"
                      "x"),
            "?x");  // C1 control: CSI in one character
  EXPECT_EQ(printable("ok 학습"), "ok 학습");
  EXPECT_EQ(printable("bad \xFF byte"), "bad ? byte");
  EXPECT_EQ(printable("a\xE2\x80\xAE" "b"), "a?b");  // turns the rest of the line around
  EXPECT_EQ(printable("e\033\xCC\x81"), "e?\xCC\x81");  // a mark can't hide one
}

TEST_F(Widths, OverlongAndTruncatedUtf8IsBroken) {
  EXPECT_TRUE(is_utf8("한 é a"));
  EXPECT_FALSE(is_utf8("\xC0\xAF"));
  EXPECT_FALSE(is_utf8("\xE1\x80"));
  EXPECT_FALSE(is_utf8("caf\xE9"));
}

TEST(Colour, FollowsOptionThenNoColorThenForceThenTerminal) {
  EXPECT_TRUE(wants_colour(true, ColourMode::automatic, {{"TERM", "xterm"}}));
  EXPECT_FALSE(wants_colour(false, ColourMode::automatic, {{"TERM", "xterm"}}));
  EXPECT_FALSE(wants_colour(true, ColourMode::automatic, {{"TERM", "dumb"}}));
  EXPECT_FALSE(wants_colour(true, ColourMode::automatic, {{"NO_COLOR", "1"}, {"CLICOLOR_FORCE", "1"}}));
  EXPECT_TRUE(wants_colour(true, ColourMode::automatic, {{"NO_COLOR", ""}}));
  EXPECT_TRUE(wants_colour(false, ColourMode::automatic, {{"CLICOLOR_FORCE", "1"}}));
  EXPECT_FALSE(wants_colour(false, ColourMode::automatic, {{"CLICOLOR_FORCE", "0"}}));
  EXPECT_TRUE(wants_colour(false, ColourMode::always, {{"NO_COLOR", "1"}}));
  EXPECT_FALSE(wants_colour(true, ColourMode::never, {{"CLICOLOR_FORCE", "1"}}));
}

Table small_table() {
  Table table({{"JOB", Table::Align::right}, {"NAME"}, {"WHY"}});
  table.add({"7", "학습", Cell("waits for 16 GPUs while 8 are free on other nodes", Tint::red)});
  table.add({"1234", "a\tb", "x"});
  return table;
}

TEST_F(Widths, ATableOnAPipeIsTabSeparatedAndWhole) {
  std::ostringstream out;
  small_table().write(out, {});
  EXPECT_EQ(out.str(), "JOB\tNAME\tWHY\n7\t학습\twaits for 16 GPUs while 8 are free on other nodes\n1234\ta?b\tx\n");
}

TEST_F(Widths, ATableOnATerminalAlignsByColumnsAndClipsTheLast) {
  std::ostringstream out;
  Terminal terminal;
  terminal.out_is_terminal = true;
  terminal.columns = 40;
  small_table().write(out, terminal);
  EXPECT_EQ(out.str(), " JOB  NAME  WHY\n   7  학습  waits for 16 GPUs while 8 a…\n1234  a?b   x\n");
}

TEST_F(Widths, TintsDontChangeTheLayout) {
  std::ostringstream out;
  Terminal terminal;
  terminal.out_is_terminal = terminal.out_colour = true;
  terminal.columns = 100;
  Table table({{"STATE"}, {"X"}});
  table.add({Cell("up", Tint::green), "1"});
  table.write(out, terminal);
  EXPECT_EQ(out.str(), "\033[2mSTATE\033[0m  \033[2mX\033[0m\n\033[32mup\033[0m     1\n");
}

TEST(ProgressLine, OnAPipeSaysOneLineInTenSeconds) {
  std::ostringstream err;
  std::chrono::steady_clock::time_point now{};
  Progress progress(err, {}, [&] { return now; });
  progress.show("place 4");  // what is over within 10 s says nothing
  now += std::chrono::seconds(10);
  progress.show("place 3");
  now += std::chrono::seconds(9);
  progress.show("place 2");
  EXPECT_EQ(err.str(), "place 3\n");
  now += std::chrono::seconds(1);
  progress.show("place 2");
  now += std::chrono::seconds(20);
  progress.show("place 2");  // nothing new: no line
  progress.clear();
  EXPECT_EQ(err.str(), "place 3\nplace 2\n");
}

TEST(ProgressLine, OnATerminalRedrawsInPlaceTenTimesASecondAndClearsUp) {
  std::ostringstream err;
  std::chrono::steady_clock::time_point now{};
  Terminal terminal;
  terminal.error_is_terminal = true;
  {
    Progress progress(err, terminal, [&] { return now; });
    progress.show_bar("Starting nodes", 4, 8);
    now += std::chrono::milliseconds(99);
    progress.show_bar("Starting nodes", 5, 8);
    EXPECT_EQ(err.str(), "\r\033[KStarting nodes " + bar(4, 8, 24) + " 4/8");
  }
  EXPECT_TRUE(err.str().ends_with("\r\033[K"));
}

// Ctrl-C makes the terminal discard what it has not shown yet, the end of the last text among it.
TEST(Live, LinesWrapAgainAtTheEndWhateverWasDiscarded) {
  std::ostringstream out;
  Terminal terminal;
  terminal.out_is_terminal = true;
  {
    LiveText live(out, {}, terminal);
    live.show("a\n");
    out.str("");
  }
  EXPECT_EQ(out.str(), "\033[?7h");
}

TEST(Live, APipeGetsNoCodes) {
  std::ostringstream out;
  LiveText(out, {}, Terminal()).show("a\n");
  EXPECT_EQ(out.str(), "a\n");
}

TEST(ProgressLine, BarsFillFromTheLeft) {
  EXPECT_EQ(bar(1, 4, 4, "#", "."), "#...");
  EXPECT_EQ(bar(4, 4, 4, "#", "."), "####");
  EXPECT_EQ(bar(9, 4, 4, "#", "."), "####");
  EXPECT_EQ(bar(0, 0, 4, "#", "."), "....");
}

}  // namespace
}  // namespace ultramarine::cli

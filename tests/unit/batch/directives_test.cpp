// Which lines count and how they become words: sbatch's rules, one test each.
#include "scheduler/batch/directives.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/batch/ask.h"

namespace ultramarine::batch {
namespace {

using test::ask;
using test::mistake;
using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> words(const std::string& line) {
  std::vector<std::string> texts;
  for (const Word& word : read_directives("job.sh", "#!/bin/sh\n" + line + "\n").slurm) texts.push_back(word.text);
  return texts;
}

TEST(Directives, OnlyLinesThatBeginExactlySoCount) {
  EXPECT_EQ(ask({"#SBATCH --nodes=3", " #SBATCH --nodes=4", "##SBATCH --nodes=5", "# SBATCH --nodes=6", "#sbatch --nodes=7"})
                .spec.resources.nodes,
            3);
  EXPECT_EQ(ask({"#ULTRA --name a", " #ULTRA --name b", "##ULTRA --name c", "# ULTRA --name d", "#ULTRAMARINE is a colour"}).spec.name,
            "a");
  EXPECT_EQ(ask({"#SBATCH--nodes=3"}).spec.resources.nodes, 3);  // as sbatch does
}

TEST(Directives, EndAtTheFirstLineThatIsNeitherBlankNorComment) {
  const Request request =
      ask({"", "   ", "# text", "  # text", "#SBATCH --job-name=early", "set -e", "#SBATCH --job-name=late", "#ULTRA --name later"});
  EXPECT_EQ(request.spec.name, "early");
  EXPECT_THAT(request.warnings, testing::Contains("job.sh:8, 9: not read, because line 7 is a command already; move directives above it"));
}

TEST(Directives, ALineMayHoldSeveralOptions) {
  const Request request = ask({"#SBATCH -N 2 -n 4 -c 6 -p gpu --gres=gpu:k80:4"});
  EXPECT_EQ(request.spec.resources, (Resources{0, 2, 4}));
  EXPECT_EQ(request.spec.ranks, 4);
  EXPECT_EQ(request.spec.cpus_per_rank, 6);
  EXPECT_EQ(request.spec.partition, "gpu");
  EXPECT_EQ(request.spec.gpu_type, "k80");
}

TEST(Directives, WordsSplitAtBlanksAndQuotesGroup) {
  EXPECT_THAT(words("#SBATCH -J  \"two words\"\t--comment='it is \"so\"' x\"y\"z"),
              ElementsAre("-J", "two words", "--comment=it is \"so\"", "xyz"));
  EXPECT_THAT(words("#SBATCH -J \"\""), ElementsAre("-J", ""));
}

TEST(Directives, ABackslashTakesTheNextCharacterAsItIs) {
  EXPECT_THAT(words("#SBATCH -J two\\ words \\# \"a\\\"b\" c\\\\d"), ElementsAre("-J", "two words", "#", "a\"b", "c\\d"));
}

TEST(Directives, AnUnquotedHashEndsTheLineAlsoInsideAWord) {
  EXPECT_THAT(words("#SBATCH --nodes=2 # two nodes"), ElementsAre("--nodes=2"));
  EXPECT_THAT(words("#SBATCH --nodes=2#two nodes"), ElementsAre("--nodes=2"));
  EXPECT_THAT(words("#SBATCH --comment='a#b' \"c # d\""), ElementsAre("--comment=a#b", "c # d"));
}

TEST(Directives, NothingIsExpanded) {
  const Request request = ask({"#SBATCH --output=$HOME/~/`date`.out", "#SBATCH -J $USER"});
  EXPECT_EQ(request.spec.output, "$HOME/~/`date`.out");
  EXPECT_EQ(request.spec.name, "$USER");
}

TEST(Directives, AnUnmatchedQuoteIsNamedWithItsLine) {
  EXPECT_EQ(mistake({"", "#SBATCH -J \"half"}), "job.sh:3: a \" without its partner; close the quotes on the same line");
  EXPECT_THAT(mistake({"#SBATCH -J it's"}), HasSubstr("job.sh:2: a ' without its partner"));
}

TEST(Directives, AValueMayStandOnTheNextLine) { EXPECT_EQ(ask({"#SBATCH --nodes", "#SBATCH 4"}).spec.resources.nodes, 4); }

TEST(Directives, LinesOfOtherSchedulersAreNamedAndNotRead) {
  const Request request = ask({"#PBS -l nodes=4", "#BSUB -n 4", "#PBS -q long", "#SBATCH -J x"});
  EXPECT_THAT(request.warnings, testing::Contains("job.sh:2, 3, 4: #PBS and #BSUB lines are not read"));
  EXPECT_EQ(request.spec.name, "x");
}

TEST(Scripts, BeginWithAnInterpreterAndUnixLines) {
  const auto error = [](const std::string& text) {
    try {
      read_directives("job.sh", text);
      return std::string();
    } catch (const Problem& problem) {
      return std::string(problem.what());
    }
  };
  EXPECT_EQ(error("echo hello\n"), "job.sh:1: a script begins with #! and its interpreter; write #!/bin/bash into line 1");
  EXPECT_EQ(error(""), "job.sh: the script is empty; begin it with #!/bin/bash");
  EXPECT_EQ(error(" \n\n"), "job.sh: the script is empty; begin it with #!/bin/bash");
  EXPECT_EQ(error("#!/bin/sh\necho\r\n"), "job.sh:2: DOS line ends; take them out: sed -i 's/\\r$//' job.sh");
  EXPECT_THAT(error("#!/bin/sh\n" + std::string(1, '\0')), HasSubstr("job.sh:2: it has a zero byte"));
  EXPECT_THAT(error("#!/bin/sh\n\n# caf\xe9\n"), HasSubstr("job.sh:3: it has bytes that are not UTF-8"));
  EXPECT_EQ(error("#!/bin/sh\n# café 작업 𝄞\n"), "");
  EXPECT_EQ(error("#!/bin/sh"), "");
}

TEST(Scripts, AreToldFromPrograms) {
  EXPECT_TRUE(looks_like_script("#!/usr/bin/env python3\n"));
  EXPECT_TRUE(looks_like_script("#SBATCH -N 1\necho\n"));
  EXPECT_TRUE(looks_like_script("\n#ULTRA --gpus 1\n"));
  EXPECT_FALSE(looks_like_script("echo hello\n"));
  EXPECT_FALSE(
      looks_like_script(std::string("\x7f"
                                    "ELF\0\n#SBATCH -N 1\n",
                                    20)));
}

}  // namespace
}  // namespace ultramarine::batch

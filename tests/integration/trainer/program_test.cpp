// ultra-train as a program: alone and under mpirun, with good and bad input, stopped by signals and resumed.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <regex>
#include <string>
#include <thread>
#include <vector>

namespace {

using testing::HasSubstr;
using testing::StartsWith;

struct Result {
  int exit_code = -1;
  std::string out, errors;
};

/// A program under way with its stdout in a pipe and its stderr in a file; killed with all it started if the test gives
/// up.
class Program {
 public:
  Program(const std::string& command, const std::string& error_file) : error_file_(error_file) {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    pid_ = fork();
    if (pid_ == 0) {
      setpgid(0, 0);
      dup2(ends[1], STDOUT_FILENO);
      const int errors = open(error_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
      dup2(errors, STDERR_FILENO);
      for (const char* name : {"ULTRA_PROGRESS", "RANK", "WORLD_SIZE", "LOCAL_RANK"}) unsetenv(name);
      // Containers often run as root.
      setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
      setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
      execl("/bin/sh", "sh", "-c", ("exec " + command).c_str(), nullptr);
      _exit(127);
    }
    close(ends[1]);
    pipe_ = ends[0];
  }
  ~Program() {
    if (pid_ > 0) {
      kill(-pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    close(pipe_);
  }
  pid_t pid() const { return pid_; }

  /// Reads until a line contains `text`; false at the end of the output.
  bool wait_for(const std::string& text) {
    while (result_.out.find(text) == std::string::npos) {
      if (!read_more()) return false;
    }
    return true;
  }
  Result finish() {
    while (read_more()) {
    }
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    result_.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    std::ifstream file(error_file_);
    result_.errors.assign(std::istreambuf_iterator<char>(file), {});
    return result_;
  }

 private:
  bool read_more() {
    std::array<char, 4096> block{};
    const ssize_t size = read(pipe_, block.data(), block.size());
    if (size <= 0) return false;
    result_.out.append(block.data(), static_cast<std::size_t>(size));
    return true;
  }
  std::string error_file_;
  pid_t pid_ = -1;
  int pipe_ = -1;
  Result result_;
};

class Train : public testing::Test {
 protected:
  Train() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ultramarine_train_XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    std::ofstream text(folder_ + "/text.txt");
    for (int i = 0; i < 3000; ++i) text << "line " << i * i % 97 << " of the deep blue sea\n";
  }
  ~Train() override { std::filesystem::remove_all(folder_); }

  Program start(const std::string& arguments, const std::string& launcher = "") {
    return Program((launcher.empty() ? "" : launcher + " ") + ULTRAMARINE_TRAIN " " + arguments,
                   folder_ + "/errors." + std::to_string(++started_));
  }
  Result run(const std::string& arguments, const std::string& launcher = "") {
    return start(arguments, launcher).finish();
  }
  /// The arguments of a run of `steps` steps of a tiny model, every step with a line.
  std::string tiny(int steps) const {
    return "--data " + folder_ +
           "/text.txt --layers 1 --heads 2 --width 16 --context 16 --global-batch 8 --warmup 5 --log-every 1 "
           "--evaluation-batches 4 --steps " +
           std::to_string(steps);
  }
  static std::vector<double> losses(const std::string& out) {
    std::vector<double> values;
    static const std::regex pattern("step +[0-9]+/[0-9]+  loss ([0-9.]+)");
    for (std::sregex_iterator match(out.begin(), out.end(), pattern), end; match != end; ++match)
      values.push_back(std::stod((*match)[1]));
    return values;
  }
  static std::string hash(const std::string& out) {
    const std::size_t at = out.rfind("parameters ");
    return at == std::string::npos ? "none in: " + out : out.substr(at + 11, 16);
  }

  std::string folder_;
  int started_ = 0;
};

TEST_F(Train, TwoMpiRanksFollowTwoThreadsAndOneRank) {
  const Result one = run(tiny(50)), threads = run(tiny(50) + " --ranks 2"),
               processes = run(tiny(50), "timeout 100 mpirun -n 2 --oversubscribe");
  for (const Result& result : {one, threads, processes}) ASSERT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_THAT(processes.out, HasSubstr("2 ranks (mpi), 128 tokens per step (8 samples), 50 steps"));
  EXPECT_THAT(threads.out, HasSubstr("2 ranks (in_process)"));
  const auto a = losses(one.out), b = losses(threads.out), c = losses(processes.out);
  ASSERT_EQ(a.size(), 50U);
  ASSERT_EQ(b.size(), 50U);
  ASSERT_EQ(c.size(), 50U);
  EXPECT_NEAR(a[0], std::log(256), 0.1);
  EXPECT_LT(a[49], a[0] - 1);
  for (std::size_t i = 0; i < 50; ++i) {
    EXPECT_NEAR(b[i], a[i], 1.01e-4) << "step " << i + 1;  // four decimals are printed
    EXPECT_NEAR(c[i], b[i], 1.01e-4) << "step " << i + 1;
  }
}

TEST_F(Train, SigtermSavesAndExits85AndTheResumedRunEqualsAnUnbrokenOne) {
  const std::string arguments = tiny(3000) + " --ranks 2 --checkpoint-directory " + folder_ + "/checkpoints --resume";
  const Result unbroken = run(tiny(3000) + " --ranks 2");
  ASSERT_EQ(unbroken.exit_code, 0) << unbroken.errors;
  Program program = start(arguments);
  ASSERT_TRUE(program.wait_for("step     20/"));
  kill(program.pid(), SIGTERM);
  const Result stopped = program.finish();
  EXPECT_EQ(stopped.exit_code, 85) << stopped.errors;
  EXPECT_THAT(stopped.errors, HasSubstr("of 3000 is done, go on with --resume"));
  EXPECT_THAT(stopped.out, HasSubstr("checkpoint of step "));
  const Result resumed = run(arguments);
  EXPECT_EQ(resumed.exit_code, 0) << resumed.errors;
  EXPECT_THAT(resumed.out, HasSubstr("resuming from step "));
  EXPECT_EQ(hash(resumed.out), hash(unbroken.out));
}

TEST_F(Train, SigtermToOneMpiRankStopsAllWithACheckpoint) {
  // Each rank leaves its pid before it becomes the program.
  std::ofstream(folder_ + "/rank.sh") << "echo $$ > " << folder_ << "/pid.$OMPI_COMM_WORLD_RANK\nexec \"$@\"\n";
  Program program = start(tiny(1'000'000) + " --checkpoint-directory " + folder_ + "/checkpoints",
                          "timeout 100 mpirun -n 2 --oversubscribe sh " + folder_ + "/rank.sh");
  ASSERT_TRUE(program.wait_for("step      5/"));
  pid_t rank_1 = 0;
  std::ifstream(folder_ + "/pid.1") >> rank_1;
  ASSERT_GT(rank_1, 0);
  kill(rank_1, SIGTERM);
  const Result result = program.finish();
  EXPECT_EQ(result.exit_code, 85) << result.errors;
  EXPECT_THAT(result.errors, HasSubstr("go on with --resume"));
  EXPECT_THAT(result.out, HasSubstr("checkpoint of step "));
}

TEST_F(Train, AnMpiRankThatFailsEndsTheOthersAndSaysWhy) {
  // Rank 1 can't read its text; rank 0 must not wait for it until a deadline.
  std::ofstream(folder_ + "/rank.sh") << "[ $OMPI_COMM_WORLD_RANK = 1 ] && set -- \"$@\" --data " << folder_
                                      << "/none.txt\nexec \"$@\"\n";
  const auto begin = std::chrono::steady_clock::now();
  const Result early = run("--steps 100000 --data " + folder_ + "/text.txt",
                           "timeout 100 mpirun -n 2 --oversubscribe sh " + folder_ + "/rank.sh");
  EXPECT_NE(early.exit_code, 0);
  EXPECT_THAT(early.errors, HasSubstr("--data: can't open " + folder_ + "/none.txt"));
  // Rank 0 can't write its checkpoint, while rank 1 is already saying goodbye.
  Program program =
      start(tiny(1'000'000) + " --checkpoint-directory " + folder_ + "/checkpoints --checkpoint-every 500",
            "timeout 100 mpirun -n 2 --oversubscribe");
  ASSERT_TRUE(program.wait_for("step      5/"));
  std::filesystem::remove_all(folder_ + "/checkpoints");
  std::ofstream(folder_ + "/checkpoints") << "in the way";
  const Result late = program.finish();
  EXPECT_NE(late.exit_code, 0);
  EXPECT_THAT(late.errors, HasSubstr(folder_ + "/checkpoints"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(90));
}

TEST_F(Train, BaselineSampleAndReduceCheckPrintOneAnswer) {
  const Result baseline = run("baseline --data " + folder_ + "/text.txt");
  EXPECT_EQ(baseline.exit_code, 0);
  EXPECT_THAT(baseline.out,
              testing::ContainsRegex(
                  "^held-out loss 0\\.[0-9]+ nats/byte \\([0-9.]+ bits/byte\\) of an order-1 add-one byte model"));
  ASSERT_EQ(run(tiny(30) + " --checkpoint-directory " + folder_).exit_code, 0);
  const std::string sample =
      "sample --checkpoint " + folder_ + "/step_00000030.checkpoint --prompt 'line 4' --length 20";
  const Result one = run(sample);
  EXPECT_EQ(one.exit_code, 0);
  EXPECT_THAT(one.out, StartsWith("line 4"));
  EXPECT_EQ(one.out.size(), 6U + 20 + 1);
  EXPECT_EQ(run(sample).out, one.out);
  EXPECT_NE(run(sample + " --seed 2").out, one.out);
  EXPECT_THAT(run("reduce-check --count 12345 --ranks 3").out,
              StartsWith("all_reduce over 3 ranks: sum exact (12,345 float32 elements"));
  const Result mpi = run("reduce-check --count 100003", "timeout 100 mpirun -n 5 --oversubscribe");
  EXPECT_EQ(mpi.exit_code, 0) << mpi.errors;
  EXPECT_THAT(mpi.out, StartsWith("all_reduce over 5 ranks: sum exact (100,003 float32 elements"));
}

TEST_F(Train, BadInputIsOneLineWithTheOptionAndExitCode2) {
  const auto expect = [&](const std::string& arguments, const std::string& line) {
    const Result result = run(arguments);
    EXPECT_EQ(result.exit_code, 2) << arguments;
    EXPECT_EQ(result.out, "") << arguments;
    EXPECT_THAT(result.errors, HasSubstr(line)) << arguments;
    EXPECT_EQ(std::count(result.errors.begin(), result.errors.end(), '\n'), 1) << result.errors;
  };
  expect("", "ultra-train: --data: needed");
  expect("--data " + folder_ + "/none.txt",
         "ultra-train: --data: can't open " + folder_ + "/none.txt: No such file or directory");
  expect("baseline --data " + folder_ + "/none.txt", "--data: can't open");
  expect(tiny(5) + " --ranks 3", "--global-batch: 8 samples can't be shared evenly by 3 ranks; use a multiple of 3");
  expect(tiny(5) + " --heads 3", "--width: 16 isn't a multiple of --heads 3");
  expect(tiny(5) + " --wat", "--wat");
  expect(tiny(5) + " --backend smoke", "--backend: unknown backend \"smoke\": this build has in_process, mpi, nccl");
  expect(tiny(5) + " --checkpoint-directory " + folder_ + "/text.txt/in", "--checkpoint-directory: can't make ");
  expect(tiny(5) + " --resume", "--resume: needs --checkpoint-directory");
  expect("sample --checkpoint " + folder_ + "/text.txt",
         "--checkpoint: " + folder_ + "/text.txt: it isn't a checkpoint");
  expect("reduce-check --backend mpi --ranks 4", "--ranks: the launcher decides");
}

TEST_F(Train, AWorldThatTheBackendDoesNotSeeIsAnError) {
  // Four processes by the environment, but started without anything that MPI could find the others by.
  const Result alone = run("reduce-check --count 10", "env WORLD_SIZE=4 RANK=2");
  EXPECT_EQ(alone.exit_code, 1);
  EXPECT_THAT(alone.errors, HasSubstr("mpi: this is rank 0 of 1, but the environment says rank 2 of 4"));
  const Result threads = run("reduce-check --backend in_process", "env WORLD_SIZE=4 RANK=2");
  EXPECT_EQ(threads.exit_code, 2);
  EXPECT_THAT(threads.errors, HasSubstr("--backend: in_process stays in one process, but 4 were started"));
  EXPECT_EQ(run("reduce-check", "env WORLD_SIZE=four").exit_code, 2);
}

TEST_F(Train, HelpNamesEveryOptionAndExitCode) {
  const Result help = run("--help");
  EXPECT_EQ(help.exit_code, 0);
  for (const char* word : {"--data", "--global-batch", "--checkpoint-directory", "--resume", "--device", "--backend", "baseline",
                           "sample", "reduce-check", "85"}) {
    EXPECT_THAT(help.out, HasSubstr(word));
  }
}

}  // namespace

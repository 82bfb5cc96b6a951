// Starting, finding and killing processes, with real ones.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <thread>

#include "worker/launcher/job_folder.h"
#include "worker/launcher/process_start.h"
#include "worker/launcher/process_tree.h"

namespace ultramarine::launcher {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

const std::string test_rank = ULTRAMARINE_BINARY_DIR "/tests/launcher_test_rank";

class Processes : public testing::Test {
 protected:
  Processes() {
    std::string name = "/tmp/launcher-test-XXXXXX";
    folder = ::mkdtemp(name.data());
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);  // orphans come to this process, as they do to a shim
  }
  ~Processes() override {
    for (const int file : {out_file, err_file}) {
      if (file >= 0) ::close(file);
    }
    EXPECT_TRUE(descendants_of(::getpid()).empty()) << "a process was left behind";
    for (const ProcessIdentity& left : descendants_of(::getpid())) send_signal(left, SIGKILL);
    while (::waitpid(-1, nullptr, 0) > 0) {
    }
    ::prctl(PR_SET_CHILD_SUBREAPER, 0);
    fs::remove_all(folder);
  }

  RankStart shell(const std::string& script) {
    if (out_file < 0) out_file = ::open((folder + "/out").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (err_file < 0) err_file = ::open((folder + "/err").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    return {.program = "/bin/sh",
            .arguments = {"sh", "-c", script},
            .environment = {{"PATH", "/bin:/usr/bin"}, {"MARK", folder}},
            .working_directory = folder,
            .output = out_file,
            .error = err_file};
  }
  RankStart program(const std::string& mode, const std::string& argument) {
    RankStart start = shell("");
    start.program = test_rank;
    start.arguments = {"rank", mode, argument};
    return start;
  }
  static int wait_for(pid_t pid) {
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
  }
  /// Blocks until somebody has written `path`.
  static std::int64_t number_in(const std::string& path) {
    std::int64_t number = 0;
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!(std::ifstream(path) >> number) && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
    return number;
  }
  std::string text_of_file(const std::string& name) { return read_whole(folder + "/" + name).value_or("none"); }

  int out_file = -1, err_file = -1;
  std::string folder;
};

TEST_F(Processes, RanksRunWithExactlyWhatTheyAreGiven) {
  // Environment, directory, empty input, own group, default signals, no descriptors of ours, private logs.
  ::signal(SIGPIPE, SIG_IGN);
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  ::pthread_sigmask(SIG_BLOCK, &blocked, &before);
  const int leak = ::open("/dev/null", O_RDONLY);
  RankStart start = shell(
      "env; pwd; cat; echo $(ls /proc/self/fd); grep -E 'SigBlk|SigIgn' /proc/self/status; cut -d' ' -f5 /proc/$$/stat; umask;"
      "echo oops >&2");
  const StartResult result = start_rank(start);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::close(leak);
  ASSERT_EQ(result.step, StartStep::none);
  const int status = wait_for(result.pid);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  const std::string output = text_of_file("out");
  EXPECT_THAT(output, HasSubstr("MARK=" + folder));
  EXPECT_THAT(output, testing::Not(HasSubstr("HOME=")));
  EXPECT_THAT(output, HasSubstr("\n" + folder + "\n0 1 2 3\n")) << "3 is of ls itself";
  EXPECT_THAT(output, HasSubstr("SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n" + std::to_string(result.pid) + "\n0022\n"));
  EXPECT_EQ(text_of_file("err"), "oops\n");
  struct stat file {};
  ASSERT_EQ(::stat((folder + "/out").c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0600U);
}

TEST_F(Processes, SaysWhichStepOfAStartFailed) {
  RankStart start = shell("true");
  start.working_directory = folder + "/gone";
  StartResult result = start_rank(start);
  EXPECT_EQ(result.step, StartStep::directory);
  EXPECT_EQ(result.error_number, ENOENT);

  start = shell("true");
  start.program = folder + "/script";
  std::ofstream(start.program) << "#!/no/such/interpreter\n";
  ::chmod(start.program.c_str(), 0755);
  result = start_rank(start);
  EXPECT_EQ(result.step, StartStep::program);
  EXPECT_EQ(result.error_number, ENOENT);

  start = shell("echo nowhere");
  start.output = start.error = -1;
  result = start_rank(start);
  EXPECT_EQ(result.step, StartStep::none);
  EXPECT_EQ(wait_for(result.pid), 0) << "without an output it writes to /dev/null";
}

TEST_F(Processes, RanksDieWithTheProcessThatStartedThem) {
  const pid_t supervisor = ::fork();
  if (supervisor == 0) {
    const StartResult result = start_rank(shell("echo $$ > pid; exec sleep 1000"));
    if (result.step != StartStep::none) ::_exit(1);
    for (;;) ::pause();
  }
  const std::int64_t rank = number_in(folder + "/pid");
  const auto identity = identify(rank);
  ASSERT_TRUE(identity);
  ::kill(supervisor, SIGKILL);
  wait_for(supervisor);
  const int status = wait_for(static_cast<pid_t>(rank));  // it came to us
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

TEST_F(Processes, AreOrdinaryVictimsWhateverTheirStarterIs) {
  // The starter's score is another than 0: below it where this process may do that, as an agent does, else above it, which everybody may.
  const std::string score = "/proc/self/oom_score_adj";
  const std::string before = read_whole(score).value();
  const auto set = [&](const std::string& value) { return static_cast<bool>(std::ofstream(score) << value << std::flush); };
  if (!set("-900")) {
    if (::geteuid() != 0) GTEST_SKIP() << "only root, and from below 0 everybody, goes back to 0";
    std::printf("a score below 0: not run, this process has no CAP_SYS_RESOURCE\n");
    ASSERT_TRUE(set("500"));
  }
  const StartResult rank = start_rank(shell("cat /proc/self/oom_score_adj"));
  ASSERT_EQ(rank.step, StartStep::none);
  wait_for(rank.pid);
  const StartResult detached = start_detached("/bin/sh", {"-c", "cat /proc/self/oom_score_adj > " + folder + "/seen"}, folder + "/log");
  set(before);
  ASSERT_EQ(detached.step, StartStep::none);
  EXPECT_EQ(text_of_file("out"), "0\n");
  wait_for(static_cast<pid_t>(detached.pid));
  EXPECT_EQ(text_of_file("seen"), "0\n");
}

TEST_F(Processes, DetachedProgramsAreNobodysChild) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 0);
  const StartResult result = start_detached("/bin/sh", {"-c", "ps -o ppid=,sid= -p $$ > " + folder + "/seen; echo said"}, folder + "/log");
  ASSERT_EQ(result.step, StartStep::none);
  ASSERT_GT(result.pid, 0);
  EXPECT_EQ(::waitpid(result.pid, nullptr, 0), -1);
  EXPECT_EQ(errno, ECHILD);
  if (const auto identity = identify(result.pid)) {
    if (const int descriptor = open_process(*identity); descriptor >= 0) {
      pollfd end{.fd = descriptor, .events = POLLIN, .revents = 0};
      EXPECT_EQ(::poll(&end, 1, 30'000), 1);
      ::close(descriptor);
    }
  }
  std::int64_t parent = 0, session = 0;
  std::ifstream(folder + "/seen") >> parent >> session;
  EXPECT_NE(parent, ::getpid());
  EXPECT_NE(session, ::getsid(0));
  EXPECT_EQ(text_of_file("log"), "said\n");
  EXPECT_EQ(start_detached(folder + "/none", {}, folder + "/log").step, StartStep::program);
}

TEST_F(Processes, FindsDaemonsThatLeftTheirSessionAndParent) {
  const StartResult result = start_rank(program("escape", folder + "/daemon"));
  ASSERT_EQ(result.step, StartStep::none);
  const std::int64_t daemon = number_in(folder + "/daemon");
  const auto has = [](const std::vector<ProcessIdentity>& list, std::int64_t pid) {
    return std::any_of(list.begin(), list.end(), [&](const auto& process) { return process.pid == pid; });
  };
  const auto tree = descendants_of(::getpid());
  EXPECT_TRUE(has(tree, result.pid));
  EXPECT_TRUE(has(tree, daemon));
  EXPECT_TRUE(has(processes_with_environment("MARK=" + folder), daemon));
  EXPECT_FALSE(has(processes_with_environment("MARK=" + folder), ::getpid()));

  for (const auto& process : tree) EXPECT_TRUE(send_signal(process, SIGKILL));
  EXPECT_EQ(WTERMSIG(wait_for(result.pid)), SIGKILL);
  EXPECT_EQ(WTERMSIG(wait_for(static_cast<pid_t>(daemon))), SIGKILL);
}

TEST_F(Processes, NeverSignalsAnotherProcessWithTheSamePid) {
  const StartResult result = start_rank(shell("exec sleep 1000"));
  ASSERT_EQ(result.step, StartStep::none);
  ProcessIdentity identity = identify(result.pid).value();
  ProcessIdentity earlier = identity;
  --earlier.start_ticks;
  EXPECT_FALSE(is_running(earlier));
  EXPECT_FALSE(send_signal(earlier, SIGKILL));
  EXPECT_EQ(open_process(earlier), -1);
  EXPECT_TRUE(is_running(identity));
  EXPECT_TRUE(send_signal(identity, SIGKILL));
  wait_for(result.pid);
  EXPECT_FALSE(is_running(identity));
  EXPECT_FALSE(send_signal(identity, SIGKILL));
}

TEST_F(Processes, AZombieDoesNotRun) {
  const StartResult result = start_rank(shell("exit 0"));
  ASSERT_EQ(result.step, StartStep::none);
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(result.pid), &info, WEXITED | WNOWAIT), 0);
  const auto identity = identify(result.pid);
  ASSERT_TRUE(identity);
  EXPECT_FALSE(is_running(*identity));
  EXPECT_TRUE(descendants_of(::getpid()).empty());
  wait_for(result.pid);
}

}  // namespace
}  // namespace ultramarine::launcher

// A program of the site, where the kernel gives no descriptor for its process (too many are open).
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>

#include "worker/launcher/node_script.h"

namespace ultramarine::launcher {
namespace {

/// For the rest of this process.
void let_no_process_be_opened() {
  sock_filter code[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 0, 1),
                        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EMFILE),
                        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  sock_fprog program{.len = 4, .filter = code};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    std::exit(9);
}

[[noreturn]] void run_and_tell(const char* program, std::chrono::milliseconds deadline) {
  let_no_process_be_opened();
  net::Loop loop;
  std::string told = "nothing";
  const NodeScript script(loop, program, {}, deadline, [&](const std::string& problem) {
    told = "<" + problem + ">";
    loop.stop();
  });
  loop.run_for(std::chrono::seconds(20));
  std::fprintf(stderr, "%s", told.c_str());
  std::exit(0);
}

TEST(NodeScript, EndsAlsoWhereNoDescriptorOfItIsToBeHad) {
  EXPECT_EXIT(run_and_tell("/bin/true", std::chrono::seconds(15)), testing::ExitedWithCode(0), "^<>$");
  EXPECT_EXIT(run_and_tell("/bin/false", std::chrono::seconds(15)), testing::ExitedWithCode(0),
              "^<exited with code 1>$");
}

TEST(NodeScript, HasItsDeadlineAlsoThere) {
  EXPECT_EXIT(run_and_tell("/usr/bin/yes", std::chrono::milliseconds(200)), testing::ExitedWithCode(0),
              "^<did not end within 200 ms and was killed: y>$");
}

}  // namespace
}  // namespace ultramarine::launcher

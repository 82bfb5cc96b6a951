// The launcher's arithmetic: numbering, environment layers, the MPI table, command look-up, log tails, ports, files.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <csignal>

#include <filesystem>
#include <fstream>

#include "scheduler/net/endpoint.h"
#include "worker/launcher/command_check.h"
#include "worker/launcher/gang_layout.h"
#include "worker/launcher/job_folder.h"
#include "worker/launcher/local_devices.h"
#include "worker/launcher/log_tail.h"
#include "worker/launcher/mpi_environment.h"
#include "worker/launcher/port_reservation.h"
#include "worker/launcher/rank_environment.h"

namespace ultramarine::launcher {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
namespace fs = std::filesystem;

const Allocation uneven = {{"node02", {1, 3, 4}}, {"node05", {0}}};

class FolderTest : public testing::Test {
 protected:
  FolderTest() {
    std::string name = "/tmp/launcher-test-XXXXXX";
    folder = ::mkdtemp(name.data());
  }
  ~FolderTest() override { fs::remove_all(folder); }
  std::string file(const std::string& name, const std::string& text, mode_t mode = 0644) {
    const std::string path = folder + "/" + name;
    std::ofstream(path) << text;
    ::chmod(path.c_str(), mode);
    return path;
  }
  std::string folder;
};
using CommandCheckTest = FolderTest;
using LogTail = FolderTest;
using JobFolderFiles = FolderTest;

TEST(GangLayout, NumbersRanksAlongTheAllocation) {
  const GangLayout layout(uneven);
  EXPECT_EQ(layout.world_size(), 4);
  EXPECT_EQ(layout.first_node(), "node02");
  EXPECT_EQ(layout.ranks()[2], (RankPlace{.rank = 2, .local_rank = 2, .node_rank = 0, .node = "node02", .devices = {4}}));
  EXPECT_EQ(layout.ranks()[3], (RankPlace{.rank = 3, .local_rank = 0, .node_rank = 1, .node = "node05", .devices = {0}}));
  EXPECT_EQ(layout.on_node("node05").size(), 1U);
  EXPECT_EQ(layout.node_of(3), "node05");
  EXPECT_EQ(layout.node_of(4), "");
}

TEST(GangLayout, SoManyRanksOnEachNodeSeeAllOfItsDevices) {
  const GangLayout layout(uneven, 0, 2);
  ASSERT_EQ(layout.world_size(), 4);
  EXPECT_EQ(layout.ranks()[1], (RankPlace{.rank = 1, .local_rank = 1, .node_rank = 0, .node = "node02", .devices = {1, 3, 4}}));
  EXPECT_EQ(layout.ranks()[3], (RankPlace{.rank = 3, .local_rank = 1, .node_rank = 1, .node = "node05", .devices = {0}}));
  EXPECT_EQ(GangLayout(uneven, 0, 3).ranks()[2].devices, (std::vector<std::int64_t>{4})) << "as many as devices: one each";
  EXPECT_THAT(GangLayout(uneven, 0, 3).devices_on("node02"), ElementsAre(1, 3, 4));
}

TEST(GangLayout, SpreadsANumberOfRanksInBlocks) {
  const Allocation three = {{"a", {0, 1}}, {"b", {0, 1}}, {"c", {0, 1}}};
  EXPECT_THAT(GangLayout(three, 4).ranks_per_node(), ElementsAre(2, 1, 1));
  EXPECT_THAT(GangLayout(three, 8).ranks_per_node(), ElementsAre(3, 3, 2));
  EXPECT_EQ(GangLayout(three, 4).node_of(1), "a");
  EXPECT_EQ(GangLayout(three, 4).node_of(2), "b");
  EXPECT_THAT(GangLayout(uneven, 4).ranks_per_node(), ElementsAre(3, 1)) << "as many as devices: one each";
  EXPECT_THAT(GangLayout(uneven, 4, 4).ranks_per_node(), ElementsAre(2, 2)) << "unless somebody said how many per node at the most";
}

TEST(GangLayout, FewerRanksThanNodesLeaveTheLastNodesAlone) {
  const GangLayout layout({{"a", {0, 1}}, {"b", {0, 1}}, {"c", {0, 1}}}, 2);
  EXPECT_THAT(layout.nodes(), ElementsAre("a", "b"));
  EXPECT_TRUE(layout.on_node("c").empty());
  EXPECT_THAT(layout.nodes_of("*"), ElementsAre("a", "b"));
}

TEST(GangLayout, AScriptIsOneRankOnTheFirstNodeWithAllItsDevices) {
  protocol::LaunchSpec launch;
  launch.kind = protocol::LaunchKind::script;
  launch.allocation = uneven;
  launch.spec.ranks_per_node = 3;
  const GangLayout layout = layout_of(launch);
  ASSERT_EQ(layout.world_size(), 1);
  EXPECT_THAT(layout.nodes(), ElementsAre("node02"));
  EXPECT_THAT(layout.ranks()[0].devices, ElementsAre(1, 3, 4));
  launch.kind = protocol::LaunchKind::ranks;
  EXPECT_EQ(layout_of(launch).world_size(), 6);
}

TEST(GangLayout, NamesSetsOfRanksTheSameOnEveryNode) {
  const GangLayout layout(uneven);
  EXPECT_EQ(layout.text_of({3, 0, 3}), "0,3");
  EXPECT_EQ(layout.text_of({3, 2, 1, 0}), "*");
  EXPECT_THAT(layout.nodes_of("*"), ElementsAre("node02", "node05"));
  EXPECT_THAT(layout.nodes_of("0,2"), ElementsAre("node02"));
  EXPECT_THAT(layout.nodes_of("3,1"), ElementsAre("node02", "node05"));
  EXPECT_TRUE(layout.nodes_of("9").empty());
  EXPECT_TRUE(layout.nodes_of("x").empty());
}

protocol::LaunchSpec launch_of(bool virtual_devices) {
  protocol::LaunchSpec launch;
  launch.key = {JobId{12}, 2, 1};
  launch.cluster = "local";
  launch.node = "node05";
  launch.spec.name = "train";
  launch.spec.account = "vision";
  launch.spec.partition = "main";
  launch.spec.working_directory = "/data/run";
  launch.allocation = uneven;
  launch.virtual_devices = virtual_devices;
  launch.environment = {
      {"HOME", "/home/kim"}, {"PATH", "/venv/bin:/bin"}, {"PWD", "/home/kim/paper"}, {"RANK", "77"}, {"NCCL_DEBUG", "WARN"}};
  launch.fabric_environment = {{"NCCL_DEBUG", "INFO"}, {"MASTER_ADDR", "wrong"}};
  return launch;
}

TEST(RankEnvironment, LaterLayersWin) {
  // Fabric < captured < torchrun's and ours.
  const auto launch = launch_of(true);
  const GangLayout layout(launch.allocation);
  const Environment environment = rank_environment(launch, layout, layout.ranks()[1], {.master_address = "10.0.0.2", .master_port = 12345});
  EXPECT_EQ(environment.at("HOME"), "/home/kim");
  EXPECT_EQ(environment.at("PATH"), "/venv/bin:/bin");
  EXPECT_EQ(environment.at("NCCL_DEBUG"), "WARN");
  EXPECT_EQ(environment.at("RANK"), "1");
  EXPECT_EQ(environment.at("MASTER_ADDR"), "10.0.0.2");
  EXPECT_EQ(environment.at("MASTER_PORT"), "12345");
}

TEST(RankEnvironment, NamesRealDevicesByUuid) {
  auto launch = launch_of(false);
  launch.allocation = {{"node05", {1, 3}}};
  const GangLayout layout(launch.allocation);
  const auto visible = [&] { return rank_environment(launch, layout, layout.ranks()[0], {}).at("CUDA_VISIBLE_DEVICES"); };
  EXPECT_EQ(visible(), "1,3") << "an agent that doesn't say which is which";
  launch.local_devices = {{.device = 0, .uuid = "GPU-a"}, {.device = 3, .uuid = "GPU-d"}, {.device = 1, .uuid = "GPU-b"}};
  EXPECT_EQ(visible(), "GPU-b,GPU-d");
  launch.virtual_devices = true;
  EXPECT_EQ(visible(), "");
}

TEST(LocalDevices, AreNumberedAsEachOneCountsThem) {
  auto launch = launch_of(false);
  launch.local_devices = {{.device = 1, .uuid = "GPU-b", .minor = 3, .bus_position = 0}, {.device = 3, .uuid = "GPU-d"}};
  EXPECT_THAT(device_minors(launch, {3, 1}), ElementsAre(3, 3));
  EXPECT_THAT(device_minors(launch, {1, 2}), ElementsAre(3, 2));
  const auto places = on_the_bus(launch, {{.devices = {1, 3}}, {.devices = {3}}});
  EXPECT_THAT(places[0].devices, ElementsAre(0, 3));
  EXPECT_THAT(places[1].devices, ElementsAre(3));
}

TEST(RankEnvironment, SaysWhatTorchrunSays) {
  const auto launch = launch_of(true);
  const GangLayout layout(launch.allocation);
  const Environment environment = rank_environment(launch, layout, layout.ranks()[3], {.progress_path = "/p"});
  const Environment expected = {
      {"RANK", "3"}, {"LOCAL_RANK", "0"}, {"WORLD_SIZE", "4"}, {"LOCAL_WORLD_SIZE", "1"}, {"GROUP_RANK", "1"}, {"GROUP_WORLD_SIZE", "2"},
      {"ROLE_RANK", "3"}, {"ROLE_WORLD_SIZE", "4"}, {"ROLE_NAME", "default"}, {"TORCHELASTIC_RESTART_COUNT", "1"},
      {"TORCHELASTIC_MAX_RESTARTS", "0"}, {"TORCHELASTIC_RUN_ID", "12.2.1"}, {"OMP_NUM_THREADS", "1"},
      {"ULTRA_JOB_ID", "12"}, {"ULTRA_JOB_NAME", "train"}, {"ULTRA_ATTEMPT", "2"}, {"ULTRA_GANG", "1"}, {"ULTRA_CLUSTER", "local"},
      {"ULTRA_NODE", "node05"}, {"ULTRA_NODE_RANK", "1"}, {"ULTRA_NUM_NODES", "2"}, {"ULTRA_NODELIST", "node[02,05]"}, {"ULTRA_GPUS", "4"},
      {"ULTRA_ACCOUNT", "vision"}, {"ULTRA_PARTITION", "main"}, {"ULTRA_PROGRESS", "/p"}, {"ULTRA_SUBMIT_DIR", "/home/kim/paper"},
      {"PWD", "/data/run"}, {"ULTRA_DEVICES", "0"}, {"ULTRA_NODE_DEVICES", "0"}};
  for (const auto& [name, value] : expected) EXPECT_EQ(environment.at(name), value) << name;
}

TEST(RankEnvironment, RealDevicesAreVisibleAndVirtualOnesAreNot) {
  const GangLayout layout(uneven);
  const Environment real = rank_environment(launch_of(false), layout, layout.ranks()[2], {});
  EXPECT_EQ(real.at("CUDA_VISIBLE_DEVICES"), "1,3,4");
  EXPECT_EQ(real.at("ULTRA_DEVICES"), "4");
  const Environment virtual_one = rank_environment(launch_of(true), layout, layout.ranks()[2], {});
  EXPECT_EQ(virtual_one.at("CUDA_VISIBLE_DEVICES"), "");
  EXPECT_EQ(virtual_one.at("ULTRA_NODE_DEVICES"), "1,3,4");
}

TEST(RankEnvironment, DropsTheVariablesOfAnotherLauncherAndKeepsTheUsersTuning) {
  auto launch = launch_of(true);
  launch.environment = {{"PMIX_RANK", "5"},
                        {"OMPI_COMM_WORLD_SIZE", "8"},
                        {"TORCHELASTIC_USE_AGENT_STORE", "True"},
                        {"PMIX_MCA_gds", "hash"},
                        {"OMPI_MCA_btl_tcp_if_include", "eth0"}, {"OMP_NUM_THREADS", "4"}};
  const Environment environment = base_environment(launch);
  EXPECT_THAT(environment, ElementsAre(testing::Key("OMPI_MCA_btl_tcp_if_include"), testing::Key("OMP_NUM_THREADS"),
                                       testing::Pair("PATH", default_path), testing::Key("PMIX_MCA_gds")));
  const GangLayout layout(uneven);
  EXPECT_EQ(rank_environment(launch, layout, layout.ranks()[0], {}).at("OMP_NUM_THREADS"), "4");
}

TEST(RankEnvironment, SubmittedFromInsideAnotherJobNothingOfThatJobIsInherited) {
  auto launch = launch_of(true);
  launch.environment = {{"TORCHELASTIC_RUN_ID", "3.1.1"}, {"MASTER_ADDR", "elsewhere"}, {"RANK", "3"},
                        {"SLURM_PROCID", "3"},            {"SLURM_JOB_ID", "9"},        {"KEEP", "me"}};
  EXPECT_THAT(base_environment(launch), ElementsAre(testing::Pair("KEEP", "me"), testing::Key("PATH")));
  launch.environment.erase("TORCHELASTIC_RUN_ID");
  EXPECT_EQ(base_environment(launch).at("MASTER_ADDR"), "elsewhere") << "what a person exported is his choice";
  launch.key.gang = 2;
  EXPECT_EQ(base_environment(launch).at("SLURM_PROCID"), "3") << "a gang comes from the job's own script";
}

TEST(RankEnvironment, CpusOfARankAreItsThreads) {
  auto launch = launch_of(true);
  launch.spec.cpus_per_rank = 6;
  const GangLayout layout(uneven);
  EXPECT_EQ(rank_environment(launch, layout, layout.ranks()[0], {}).at("OMP_NUM_THREADS"), "6");
  launch.environment["OMP_NUM_THREADS"] = "2";
  EXPECT_EQ(rank_environment(launch, layout, layout.ranks()[0], {}).at("OMP_NUM_THREADS"), "2");
}

TEST(RankEnvironment, PlainJobsKnowNothingOfSlurm) {
  const auto launch = launch_of(true);
  const GangLayout layout(uneven);
  for (const auto& [name, value] : rank_environment(launch, layout, layout.ranks()[0], {.scratch_folder = "/scratch/12.2"})) {
    EXPECT_FALSE(name.starts_with("SLURM")) << name;
    EXPECT_FALSE(name.starts_with("OMPI_")) << name;
  }
}

TEST(MpiEnvironment, SeparatesNodesOfOneHostAndLeavesTuningToTheUser) {
  Environment environment = {{"OMPI_MCA_btl_tcp_if_include", "eth0"}, {"OMPI_MCA_btl_vader_backing_directory", "/elsewhere"}};
  add_mpi_environment(environment, {.folder = "/dev/shm/x", .loopback = true, .oversubscribed = true});
  EXPECT_EQ(environment.at("OMPI_MCA_btl_tcp_if_include"), "eth0");
  EXPECT_EQ(environment.at("OMPI_MCA_btl_vader_backing_directory"), "/dev/shm/x");
  EXPECT_EQ(environment.at("OMPI_MCA_orte_tmpdir_base"), "/dev/shm/x");
  EXPECT_EQ(environment.at("OMPI_MCA_mpi_yield_when_idle"), "1");
  EXPECT_FALSE(environment.at("OMPI_MCA_orte_local_daemon_uri").empty());
  Environment on_real_nodes;
  add_mpi_environment(on_real_nodes, {.folder = "/dev/shm/x"});
  EXPECT_FALSE(on_real_nodes.contains("OMPI_MCA_btl_tcp_if_include"));
  EXPECT_FALSE(on_real_nodes.contains("OMPI_MCA_mpi_yield_when_idle"));
}

TEST(MpiEnvironment, ReadsTheHelpMessagesThatMpiSendsToItsDaemon) {
  const auto text = [](const std::string& word) {
    return std::string("\0\0\0\1\0\0\0", 7) + static_cast<char>(word.size() + 1) + word + '\0';
  };
  const std::string head = text("help-mpi-api.txt") + text("mpi-abort");
  const std::string yes("\0\0\0\1\1", 5);
  const std::string whole = head + yes + text("MPI_ABORT was invoked\non rank 3");
  EXPECT_EQ(text_of_help_message(whole), "MPI_ABORT was invoked\non rank 3");
  EXPECT_EQ(text_of_help_message(head + std::string("\0\0\0\1\0", 5)), "") << "without text";
  for (std::size_t length = 0; length < whole.size(); ++length) EXPECT_EQ(text_of_help_message(whole.substr(0, length)), "") << length;
  EXPECT_EQ(text_of_help_message(std::string("\0\0\0\1\xff\xff\xff\xff", 8)), "");
}

TEST_F(CommandCheckTest, FindsProgramsAsAShellDoes) {
  const std::string tool = file("tool", "#!/bin/sh\n", 0755);
  file("notes", "text");
  const Environment environment = {{"PATH", "/nowhere:" + folder}};
  EXPECT_EQ(check_command({"tool"}, "/", environment, "n").program, tool);
  EXPECT_EQ(check_command({"./tool"}, folder, environment, "n").program, folder + "/./tool");
  EXPECT_EQ(check_command({tool}, "/", {}, "n").program, tool);
  EXPECT_EQ(check_command({"tool"}, folder, {{"PATH", ":/bin"}}, "n").program, folder + "/./tool");
}

TEST_F(CommandCheckTest, SaysWhatIsMissingAndWhere) {
  const std::string notes = file("notes", "text");
  const Environment environment = {{"PATH", "/nowhere:/bin"}};
  EXPECT_EQ(check_command({"foo"}, "/", environment, "node03").problem,
            "command not found: foo is in no folder of the job's PATH on node03");
  EXPECT_EQ(check_command({"true"}, "/missing", environment, "node03").problem, "working directory /missing does not exist on node03");
  EXPECT_EQ(check_command({"true"}, notes, environment, "node03").problem, "working directory " + notes + " on node03 is not a directory");
  EXPECT_EQ(check_command({"./gone"}, folder, environment, "node03").problem,
            "command not found: " + folder + "/./gone does not exist on node03");
  EXPECT_THAT(check_command({notes}, "/", environment, "node03").problem, HasSubstr("permission denied"));
  EXPECT_THAT(check_command({"/tmp"}, "/", environment, "node03").problem, HasSubstr("is a directory"));
  EXPECT_EQ(check_command({}, "/", environment, "node03").problem, "the job has no command");
}

TEST_F(LogTail, KeepsTheLastLinesWithErrorsLast) {
  std::string output, error;
  for (int i = 1; i <= 100; ++i) output += "out " + std::to_string(i) + "\n";
  for (int i = 1; i <= 3; ++i) error += "err " + std::to_string(i) + "\n";
  const auto lines = last_output(file("o", output), file("e", error));
  ASSERT_EQ(lines.size(), 50U);
  EXPECT_EQ(lines.front(), "out 54");
  EXPECT_EQ(lines[46], "out 100");
  EXPECT_EQ(lines.back(), "err 3");
}

TEST_F(LogTail, LeavesSomeRoomForOutputWhenErrorsAreMany) {
  std::string error;
  for (int i = 1; i <= 100; ++i) error += "err " + std::to_string(i) + "\n";
  const auto lines = last_output(file("o", "result 42\n"), file("e", error));
  ASSERT_EQ(lines.size(), 50U);
  EXPECT_EQ(lines.front(), "result 42");
  EXPECT_EQ(lines[1], "err 52");
  EXPECT_EQ(lines.back(), "err 100");
}

TEST_F(LogTail, IsCleanTextWhateverARankWrites) {
  EXPECT_EQ(clean_text("\x1b[31mred\x1b[0m\a ok\tgr\xc3\xbc\xc3\x9f\x65"), "red ok\tgr\xc3\xbc\xc3\x9f\x65");
  EXPECT_EQ(clean_text("a\xff\xe2\x82z"), "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz");
  EXPECT_EQ(clean_text("\xed\xa0\x80"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd") << "surrogates are not UTF-8";
  EXPECT_EQ(clean_text("abcdef", 3), "abc...");
  EXPECT_THAT(last_lines_of(file("bar", "10%\r50%\r100%\r\nlast without end"), 5), ElementsAre("100%", "last without end"));
  EXPECT_TRUE(last_lines_of(folder + "/none", 5).empty());
}

TEST_F(LogTail, ReadsOnlyTheEndOfAHugeFile) {
  const auto lines = last_lines_of(file("big", std::string(1 << 20, 'x') + "\nlast\n"), 5);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0], "last");
  EXPECT_EQ(last_lines_of(file("endless", std::string(1 << 20, 'x')), 5).at(0).size(), line_bytes_max + 3);
}

TEST(PortReservation, LiesOutsideTheEphemeralRangeAndIsFreeForARank) {
  const PortReservation reservation = reserve_port();
  const PortRange ephemeral = ephemeral_ports();
  EXPECT_TRUE(reservation.port() < ephemeral.first || reservation.port() > ephemeral.last);
  const int rank = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(reservation.port()));
  EXPECT_EQ(::bind(rank, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(::listen(rank, 1), 0);
  ::close(rank);
}

TEST(PortReservation, IsHeldUntilItsOwnerLetsGo) {
  PortReservation first = reserve_port();
  const std::int64_t port = first.port();
  EXPECT_EQ(claim_port(port).port(), 0) << "another gang was given the same port";
  first = PortReservation();
  EXPECT_EQ(claim_port(port).port(), port);
}

TEST(PortReservation, SkipsPortsWhereSomebodyListens) {
  const std::int64_t port = reserve_port().port();
  const int stranger = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  ASSERT_EQ(::bind(stranger, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(stranger, 1), 0);
  EXPECT_EQ(claim_port(port).port(), 0);
  ::close(stranger);
}

TEST(PortReservation, FindsAPortEvenWhenTheEphemeralRangeIsEverything) {
  EXPECT_NE(reserve_port({.first = 1024, .last = 65535}).port(), 0);
}

TEST_F(JobFolderFiles, NameAGangBothWays) {
  EXPECT_EQ(text_of(GangKey{JobId{12}, 3, 1}), "12.3.1");
  EXPECT_EQ(parse_gang_key("12.3.1"), (GangKey{JobId{12}, 3, 1}));
  for (const char* wrong : {"", "12", "12.3", "12.3.1.", "12.3.x", "-1.1.1", "12.3.1 "}) EXPECT_FALSE(parse_gang_key(wrong)) << wrong;
}

TEST_F(JobFolderFiles, AreReplacedWholeAndPrivate) {
  const std::string path = folder + "/deep/er/report.json";
  EXPECT_THROW(write_durably(path, "x"), FolderError);
  make_private_folder(folder + "/deep/er");
  write_durably(path, "first, and longer");
  write_durably(path, "second");
  EXPECT_EQ(read_whole(path), "second");
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  ASSERT_EQ(::stat((folder + "/deep").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700U);
  EXPECT_FALSE(read_whole(folder + "/none"));
}

TEST_F(JobFolderFiles, NeitherWaitForNorFollowWhatStandsInTheirPlace) {
  const std::string path = folder + "/report.json", fresh = path + ".new";
  const auto refused = [&] {
    EXPECT_THROW(read_whole(path), FolderError);
    EXPECT_TRUE(last_lines_of(path, 5).empty());
    std::filesystem::remove_all(path);
  };
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  refused();
  ASSERT_EQ(::symlink("/dev/zero", path.c_str()), 0);
  refused();
  ASSERT_EQ(::symlink("/proc/self/maps", path.c_str()), 0);
  refused();
  ASSERT_EQ(::symlink("/proc/self/fd/0", path.c_str()), 0);
  refused();
  ASSERT_EQ(::mkdir(path.c_str(), 0700), 0);
  refused();
  std::ofstream(path) << std::string(1001, 'x');
  EXPECT_EQ(read_whole(path, 1001)->size(), 1001U);
  EXPECT_THROW(read_whole(path, 1000), FolderError);

  // Opening what somebody holds a lease on would wait until he lets go.
  ::signal(SIGIO, SIG_IGN);
  const int held = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  ASSERT_EQ(::fcntl(held, F_SETLEASE, F_WRLCK), 0);
  EXPECT_THROW(read_whole(path), FolderError);
  EXPECT_TRUE(last_lines_of(path, 5).empty());
  ::close(held);
  EXPECT_TRUE(read_whole(path));

  std::ofstream(folder + "/precious") << "his";
  ASSERT_EQ(::symlink((folder + "/precious").c_str(), fresh.c_str()), 0);
  write_whole(path, "new");
  ASSERT_EQ(::mkfifo(fresh.c_str(), 0600), 0);
  write_durably(path, "newer");
  EXPECT_EQ(read_whole(path), "newer");
  EXPECT_EQ(read_whole(folder + "/precious"), "his");
  ASSERT_EQ(::mkdir(fresh.c_str(), 0700), 0);
  EXPECT_THROW(write_whole(path, "newest"), FolderError);
}

TEST_F(LogTail, FollowsTheLinkToAFileThatAUserNamed) {
  ASSERT_EQ(::symlink(file("named", "his\n").c_str(), (folder + "/rank_0.out").c_str()), 0);
  EXPECT_THAT(last_lines_of(folder + "/rank_0.out", 5), ElementsAre("his"));
}

TEST_F(JobFolderFiles, HaveShortNamesForSockets) {
  const std::string deep = folder + "/" + std::string(120, 'd');
  make_private_folder(deep);
  std::ofstream(deep + "/file") << "here";
  const ShortName name(deep + "/file");
  EXPECT_LE(name.text().size(), net::unix_path_max);
  EXPECT_EQ(read_whole(name.text()), "here");
  EXPECT_EQ(ShortName("/short/path").text(), "/short/path");
}

}  // namespace
}  // namespace ultramarine::launcher

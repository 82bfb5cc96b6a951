// Which CPUs ranks stay on, by machines that are written down here; what an mpirun inside a script is told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "worker/launcher/cpu_binding.h"
#include "worker/launcher/mpirun_environment.h"

namespace ultramarine::launcher {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

/// `cores` cores of two hardware threads each: core c has the CPUs c and c + cores.
NodeCores machine(int cores) {
  NodeCores node;
  for (int core = 0; core < cores; ++core) node.cores.push_back({core, core + cores});
  return node;
}

/// Two halves with four GPUs each, as in a node of eight.
NodeCores eight_gpus() {
  NodeCores node = machine(16);
  for (std::size_t gpu = 0; gpu < 8; ++gpu) {
    node.near_gpus.emplace_back();
    for (std::size_t core = 0; core < 8; ++core) node.near_gpus.back().push_back(core + (gpu < 4 ? 0 : 8));
  }
  return node;
}

std::vector<RankPlace> ranks(std::vector<std::vector<std::int64_t>> devices) {
  std::vector<RankPlace> places;
  for (auto& own : devices) {
    const auto rank = static_cast<std::int64_t>(places.size());
    places.push_back({.rank = rank, .local_rank = rank, .node = "n", .devices = std::move(own)});
  }
  return places;
}

TEST(CpuBinding, VirtualDevicesShareTheCoresEvenlyByLocalRank) {
  EXPECT_THAT(bound_cpus(machine(4), ranks({{0}, {1}}), true, 0), ElementsAre(Cpus{0, 1, 4, 5}, Cpus{2, 3, 6, 7}));
  EXPECT_THAT(bound_cpus(machine(5), ranks({{0}, {1}, {2}}), true, 0), ElementsAre(Cpus{0, 5}, Cpus{1, 2, 6, 7}, Cpus{3, 4, 8, 9}));
}

TEST(CpuBinding, NobodyIsBoundWhereItWouldCrowd) {
  EXPECT_THAT(bound_cpus(machine(3), ranks({{0}, {1}, {2}, {3}}), true, 0), IsEmpty()) << "fewer cores than ranks";
  EXPECT_THAT(bound_cpus(machine(4), ranks({{0}, {1}}), true, 5), IsEmpty()) << "a rank asked for more CPUs than its share has";
  EXPECT_EQ(bound_cpus(machine(4), ranks({{0}, {1}}), true, 4).size(), 2U);
  EXPECT_THAT(bound_cpus(machine(4), ranks({{0}}), true, 0), IsEmpty()) << "all cores are no binding";
}

TEST(CpuBinding, ARankIsNearItsGpuAndLeavesTheNeighboursTheirPart) {
  // GPU 1 is the second of four at the first half, GPU 6 the third at the second one; the other GPUs' cores stay free for other jobs.
  EXPECT_THAT(bound_cpus(eight_gpus(), ranks({{1}, {6}}), false, 0), ElementsAre(Cpus{2, 3, 18, 19}, Cpus{12, 13, 28, 29}));
}

TEST(CpuBinding, RanksOfTheSameGpusDivideWhatIsNearThem) {
  EXPECT_THAT(bound_cpus(eight_gpus(), ranks({{0, 1}, {0, 1}}), false, 0), ElementsAre(Cpus{0, 1, 16, 17}, Cpus{2, 3, 18, 19}));
  EXPECT_THAT(bound_cpus(eight_gpus(), ranks({{9}}), false, 0), IsEmpty()) << "a GPU that isn't known";
}

TEST(CpuBinding, HwlocFindsTheCoresNearEachGpu) {
  // Two packages of two cores, and an NVIDIA GPU at each of them; the one with the higher bus address is listed first.
  const auto package = [](int number, const char* gpu) {
    const std::string first = std::to_string(number * 2), second = std::to_string(number * 2 + 1);
    const auto set = [](int bits) { return "0x0000000" + std::to_string(bits); };
    const std::string whole = number == 0 ? "0x00000003" : "0x0000000c";
    const auto core = [&](const std::string& cpu, int bit) {
      const std::string mask = set(bit), sets = " cpuset=\"" + mask + "\" complete_cpuset=\"" + mask + "\" nodeset=\"" + set(number + 1) +
                                                "\" complete_nodeset=\"" + set(number + 1) + "\"";
      return "<object type=\"Core\" os_index=\"" + cpu + "\"" + sets + " gp_index=\"1" + cpu + "\"><object type=\"PU\" os_index=\"" + cpu + "\"" + sets +
             " gp_index=\"2" + cpu + "\"/></object>";
    };
    const std::string sets = " cpuset=\"" + whole + "\" complete_cpuset=\"" + whole + "\" nodeset=\"" + set(number + 1) + "\" complete_nodeset=\"" +
                             set(number + 1) + "\"";
    return "<object type=\"Package\" os_index=\"" + std::to_string(number) + "\"" + sets + " gp_index=\"3" + std::to_string(number) + "\">" +
           "<object type=\"NUMANode\" os_index=\"" + std::to_string(number) + "\"" + sets + " gp_index=\"4" + std::to_string(number) + "\" local_memory=\"1073741824\"/>" +
           core(first, number == 0 ? 1 : 4) + core(second, number == 0 ? 2 : 8) +
           "<object type=\"Bridge\" gp_index=\"5" + std::to_string(number) + "\" bridge_type=\"0-1\" depth=\"0\" bridge_pci=\"0000:[" + std::string(gpu).substr(5, 2) + "-" +
           std::string(gpu).substr(5, 2) + "]\"><object type=\"PCIDev\" gp_index=\"6" + std::to_string(number) + "\" pci_busid=\"" + gpu +
           "\" pci_type=\"0302 [10de:2330] [10de:16c1] a1\" pci_link_speed=\"0.0\"/></object></object>";
  };
  const std::string machine_sets = " cpuset=\"0x0000000f\" complete_cpuset=\"0x0000000f\" allowed_cpuset=\"0x0000000f\" nodeset=\"0x00000003\" "
                                   "complete_nodeset=\"0x00000003\" allowed_nodeset=\"0x00000003\"";
  const std::string xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE topology SYSTEM \"hwloc2.dtd\">\n<topology version=\"2.0\">"
                          "<object type=\"Machine\" os_index=\"0\"" + machine_sets + " gp_index=\"1\">" + package(0, "0000:9b:00.0") + package(1, "0000:1b:00.0") +
                          "</object></topology>";
  const auto node = read_cores_from_xml(xml);
  ASSERT_TRUE(node);
  EXPECT_THAT(node->cores, ElementsAre(Cpus{0}, Cpus{1}, Cpus{2}, Cpus{3}));
  EXPECT_THAT(node->near_gpus, ElementsAre(std::vector<std::size_t>{2, 3}, std::vector<std::size_t>{0, 1})) << "by bus address, as CUDA counts them";
}

TEST(CpuBinding, ThisMachineHasCores) {
  const auto node = read_cores(false);
  ASSERT_TRUE(node);
  EXPECT_FALSE(node->cores.empty());
}

// ---- mpirun --------------------------------------------------------------------------------------------------------

protocol::LaunchSpec script_on(std::vector<std::string> nodes) {
  protocol::LaunchSpec launch;
  launch.key = {JobId{7}, 1, 1};
  launch.kind = protocol::LaunchKind::script;
  launch.node = nodes.front();
  for (const std::string& node : nodes) launch.job_allocation.push_back({node, {0, 1}});
  launch.allocation = {launch.job_allocation.front()};
  launch.virtual_devices = true;
  return launch;
}

const GangSurroundings inside{.loopback = true, .host_file = "/job/hostfile", .hydra_host_file = "/job/hostfile.hydra", .remote_shell = "/bin/ultra-rsh"};

TEST(Mpirun, HostFilesNameTheOwnNodeAsLocalhostSoThatNoRemoteShellIsNeededThere) {
  const HostFiles files = host_files(script_on({"n1", "n2"}));
  EXPECT_EQ(files.open_mpi, "localhost slots=2\nn2 slots=2\n");
  EXPECT_EQ(files.hydra, "localhost:2\nn2:2\n");
}

TEST(Mpirun, EveryLauncherIsToldOfTheRemoteShellAndTheHosts) {
  Environment environment{{"OMPI_MCA_mpi_yield_when_idle", "0"}};
  add_mpirun_layer(environment, inside, true);
  const Environment expected = {
      // Open MPI 4
      {"OMPI_MCA_plm", "rsh"},
      {"OMPI_MCA_ras", "^slurm"},
      {"OMPI_MCA_orte_default_hostfile", "/job/hostfile"},
      {"OMPI_MCA_plm_rsh_agent", "/bin/ultra-rsh"},
      {"OMPI_MCA_plm_rsh_no_tree_spawn", "1"},
      {"OMPI_MCA_orte_leave_session_attached", "1"},
      {"OMPI_MCA_plm_rsh_pass_environ_mca_params", "0"},
      {"OMPI_MCA_oob_tcp_if_include", "lo"},
      {"OMPI_MCA_btl_tcp_if_include", "lo"},
      {"OMPI_MCA_mpi_yield_when_idle", "0"},  // the user's own
      {"OMPI_MCA_hwloc_base_binding_policy", "none"},
      // Open MPI 5
      {"PRTE_MCA_plm", "ssh"},
      {"PRTE_MCA_ras", "^slurm"},
      {"PRTE_MCA_prte_default_hostfile", "/job/hostfile"},
      {"PRTE_MCA_plm_ssh_agent", "/bin/ultra-rsh"},
      {"PRTE_MCA_plm_ssh_no_tree_spawn", "1"},
      {"PRTE_MCA_prte_leave_session_attached", "1"},
      {"PRTE_MCA_plm_ssh_pass_environ_mca_params", "0"},
      {"PRTE_MCA_prte_if_include", "lo"},
      {"PRTE_MCA_hwloc_default_binding_policy", "none"},
      // MPICH
      {"HYDRA_RMK", "user"},
      {"HYDRA_LAUNCHER", "ssh"},
      {"HYDRA_LAUNCHER_EXEC", "/bin/ultra-rsh"},
      {"HYDRA_HOST_FILE", "/job/hostfile.hydra"},
      // Intel MPI
      {"I_MPI_HYDRA_BOOTSTRAP", "ssh"},
      {"I_MPI_HYDRA_BOOTSTRAP_EXEC", "/bin/ultra-rsh"},
      {"I_MPI_HYDRA_HOST_FILE", "/job/hostfile.hydra"},
  };
  EXPECT_EQ(environment, expected);
  for (const auto& [name, value] : expected) EXPECT_TRUE(is_for_mpirun(name)) << name;

  Environment far;
  add_mpirun_layer(far, {.host_file = "/job/hostfile"}, false);
  const Environment expected_far = {
      {"OMPI_MCA_plm", "rsh"}, {"OMPI_MCA_ras", "^slurm"}, {"PRTE_MCA_plm", "ssh"}, {"PRTE_MCA_ras", "^slurm"}};
  EXPECT_EQ(far, expected_far) << "no ultra-rsh, other machines";
}

TEST(Mpirun, AJobThatIsSubmittedFromAScriptHasNothingOfThatScripts) {
  protocol::LaunchSpec launch = script_on({"n1"});
  launch.environment = {{"ULTRA_JOB_ID", "6"}, {"HYDRA_HOST_FILE", "/job6/hostfile.hydra"}, {"OMPI_MCA_plm_rsh_agent", "/old/ultra-rsh"}, {"MY_OWN", "1"}};
  const Environment seen = rank_environment(launch, layout_of(launch), layout_of(launch).ranks()[0], inside);
  EXPECT_EQ(seen.at("HYDRA_HOST_FILE"), "/job/hostfile.hydra");
  EXPECT_EQ(seen.at("OMPI_MCA_plm_rsh_agent"), "/bin/ultra-rsh");
  EXPECT_EQ(seen.at("MY_OWN"), "1");
}

TEST(Mpirun, AHelperOnAnotherNodeKeepsItsFilesToItself) {
  protocol::LaunchSpec launch = script_on({"n1", "n2"});
  launch.kind = protocol::LaunchKind::ranks;
  launch.key.gang = 2;
  launch.allocation = {launch.job_allocation.back()};
  launch.spec.ranks = 1;
  GangSurroundings there = inside;
  there.helper_folder = "/dev/shm/x";
  const Environment seen = rank_environment(launch, layout_of(launch), layout_of(launch).ranks()[0], there);
  EXPECT_EQ(seen.at("OMPI_MCA_btl_vader_backing_directory"), "/dev/shm/x");
  EXPECT_EQ(seen.at("OMPI_MCA_orte_tmpdir_base"), "/dev/shm/x");
}

TEST(RankEnvironment, OmpNumThreadsIsTheRanksCpusUnlessTheUserSaysAnother) {
  protocol::LaunchSpec launch = script_on({"n1", "n2"});
  launch.spec.cpus_per_rank = 4;
  const auto of = [&](const protocol::LaunchSpec& which) {
    const GangLayout layout = layout_of(which);
    return rank_environment(which, layout, layout.ranks()[0], inside);
  };
  const Environment script = of(launch);
  EXPECT_EQ(script.at("OMP_NUM_THREADS"), "4");
  protocol::LaunchSpec gang = launch;
  gang.kind = protocol::LaunchKind::ranks;
  gang.key.gang = 2;
  gang.allocation = launch.job_allocation;
  gang.environment = script;
  gang.spec.cpus_per_rank = 2;
  EXPECT_EQ(of(gang).at("OMP_NUM_THREADS"), "2") << "what we set for the script is no choice of the user's";
  EXPECT_EQ(of(gang).at("SLURM_CPUS_PER_TASK"), "2");
  gang.environment["OMP_NUM_THREADS"] = "7";
  EXPECT_EQ(of(gang).at("OMP_NUM_THREADS"), "7");
  gang.environment.erase("OMP_NUM_THREADS");
  gang.environment.erase("ULTRA_CPUS_PER_RANK");
  gang.spec.cpus_per_rank = 0;
  EXPECT_EQ(of(gang).at("OMP_NUM_THREADS"), "1") << "as torchrun";
  gang.spec.cpus_per_gpu = 6;
  EXPECT_EQ(of(gang).at("OMP_NUM_THREADS"), "6") << "a rank with its own GPU has that one's CPUs";
}

TEST(RankEnvironment, TheFabricsVariablesGiveWayToTheUsers) {
  protocol::LaunchSpec launch = script_on({"n1"});
  launch.fabric_environment = {{"NCCL_SOCKET_IFNAME", "eth1"}, {"UCX_NET_DEVICES", "mlx5_0:1"}};
  launch.environment["NCCL_SOCKET_IFNAME"] = "eth7";
  const Environment seen = rank_environment(launch, layout_of(launch), layout_of(launch).ranks()[0], inside);
  EXPECT_EQ(seen.at("NCCL_SOCKET_IFNAME"), "eth7");
  EXPECT_EQ(seen.at("UCX_NET_DEVICES"), "mlx5_0:1");
}

}  // namespace
}  // namespace ultramarine::launcher

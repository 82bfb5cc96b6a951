// Proof that a simulation has no order of its own: this program is linked with another answer of the core to "who is next", and the
// simulator does what that says.
#include <gtest/gtest.h>

#include "scheduler/core/policy/policies.h"
#include "scheduler/protocol/config.h"
#include "scheduler/simulator/report.h"

namespace ultramarine::core::policy {

/// Last come, first served.
class LastFirst : public JobOrder {
 public:
  OrderKey key(const Job& job) const override { return {-job.job.value}; }
};

// The linker puts this in the place of submit_time (--wrap).
std::unique_ptr<JobOrder> planted(const Context&) asm("__wrap__ZN11ultramarine4core6policy11submit_timeERKNS1_7ContextE");
std::unique_ptr<JobOrder> planted(const Context&) { return std::make_unique<LastFirst>(); }

}  // namespace ultramarine::core::policy

namespace ultramarine::simulator {
namespace {

TEST(ReplayPlanted, ASimulationDoesWhatTheCoreSays) {
  const auto cluster = protocol::parse_cluster_file("[[node]]\nname = \"node1\"\ngpus = 4\nvirtual = true\n", "/cluster.toml").cluster;
  const Trace trace = parse_csv("id,submit_s,runtime_s,gpus\na,0,10,4\nb,1,10,4\nc,2,10,4\n", "t.csv", BadRows::refused);
  EXPECT_EQ(jobs_csv(trace, replay(trace, cluster, protocol::load_policy("fifo"), Estimate::truth)),
            "id,submit_s,first_start_s,end_s,gpus,nodes,attempts\n"
            "a,0,0,10,4,1,1\n"
            "b,1,20,30,4,1,1\n"
            "c,2,10,20,4,1,1\n");
}

}  // namespace
}  // namespace ultramarine::simulator

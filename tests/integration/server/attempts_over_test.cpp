// When nodes hear that attempts are over: whoever was away, and ahead of what starts there next.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/server/daemon_harness.h"

namespace ultramarine::server::testing {
namespace {

using AttemptsOver = TwoNodes;

TEST_F(AttemptsOver, AreToldToANodeThatWasAway) {
  both_join();
  const GangKey key = running_job();
  two_.leave();
  protocol::Hello hello = two_.hello({key});
  hello.attempts = {{key.job, key.attempt}, {JobId{77}, 3}};
  two_.connect();
  two_.say(hello);
  EXPECT_TRUE(two_.expect<protocol::Welcome>().accepted);
  EXPECT_EQ(two_.expect<protocol::AttemptOver>().job, JobId{77}) << "of which nobody knows";
  settle();
  EXPECT_EQ(two_.count<protocol::AttemptOver>(), 0u) << "the other one is open";

  finish(key);
  scheduler_->until_state(key.job, JobState::completed);
  two_.expect<protocol::AttemptOver>();
  two_.leave();
  hello.gangs.clear();
  two_.connect();
  two_.say(hello);
  two_.expect<protocol::Welcome>();
  EXPECT_EQ(two_.expect<protocol::AttemptOver>().job, key.job);
  EXPECT_EQ(two_.expect<protocol::AttemptOver>().job, JobId{77});
}

TEST_F(AttemptsOver, AreToldBeforeWhatStartsInTheirPlace) {
  both_join();
  const GangKey key = running_job();
  const JobId next = scheduler_->submit(R"({"gpus":16})");
  finish(key);
  scheduler_->until([&] { return two_.count<protocol::Prepare>() == 1; }, "the next job's launch");
  const auto place_of = [&]<class Message>(const Message*) {
    return std::find_if(two_.heard.begin(), two_.heard.end(),
                        [](const auto& message) { return std::holds_alternative<Message>(message); });
  };
  const protocol::Forget* const forget = nullptr;
  const protocol::AttemptOver* const over = nullptr;
  const protocol::Prepare* const prepare = nullptr;
  ASSERT_NE(place_of(over), two_.heard.end());
  EXPECT_LT(place_of(forget), place_of(over));
  EXPECT_LT(place_of(over), place_of(prepare));
  EXPECT_EQ(scheduler_->job(next).details.state, JobState::starting);
}

}  // namespace
}  // namespace ultramarine::server::testing

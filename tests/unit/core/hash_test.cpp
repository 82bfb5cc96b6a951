// The state hash: the same everywhere, and different when anything differs.
#include <gtest/gtest.h>

#include "scheduler/core/hasher.h"
#include "tests/unit/core/builders.h"

namespace ultramarine::core {
namespace {

enum class Colour : std::uint8_t { red, blue };
struct Inner {
  std::optional<std::int64_t> number;
  Time at;
};
BOOST_DESCRIBE_STRUCT(Inner, (), (number, at))
struct Outer {
  std::string text;
  bool yes = false;
  Colour colour = Colour::red;
  std::vector<Inner> inners;
  std::map<JobId, std::string> names;
};
BOOST_DESCRIBE_STRUCT(Outer, (), (text, yes, colour, inners, names))

Outer example() { return {"ultramarine", true, Colour::blue, {{std::nullopt, {1}}, {-7, {2}}}, {{JobId{3}, "three"}}}; }

TEST(Hash, IsTheSameOnEveryMachine) {
  // The constants were computed once; a different compiler, library or byte order must arrive at them too.
  EXPECT_EQ(hash_of(example()), "ca21002d077a3590275234e4194b60ba");
  EXPECT_EQ(hash_of(Inner{}), "4bbd1bf27da918d6b465a9eccd791cb6");
}

TEST(Hash, ChangesWithEveryPart) {
  const std::string original = hash_of(example());
  std::vector<Outer> changed(7, example());
  changed[0].text = "ultramarinf";
  changed[1].yes = false;
  changed[2].colour = Colour::red;
  changed[3].inners[0].number = 0;  // absent is not zero
  changed[4].inners.pop_back();
  changed[5].names[JobId{4}] = "";
  changed[6].text += std::string(1, '\0');  // padding is not content
  for (const Outer& value : changed) EXPECT_NE(hash_of(value), original);
}

TEST(Hash, WhatIsNextToEachOtherDoesNotRunTogether) {
  const std::vector<std::string> one{"ab", "c"}, other{"a", "bc"};
  EXPECT_NE(hash_of(one), hash_of(other));
}

TEST(Hash, TheStatesHashFollowsTheState) {
  Driver driver(cluster_of(2, 8)), twin(cluster_of(2, 8));
  EXPECT_EQ(driver.scheduler.state_hash(), twin.scheduler.state_hash());
  EXPECT_EQ(driver.scheduler.state_hash().size(), 32u);
  const std::string before = driver.scheduler.state_hash();
  driver.submit(1, hours(1));
  EXPECT_NE(driver.scheduler.state_hash(), before);
  twin.submit(1, hours(1));
  EXPECT_EQ(driver.scheduler.state_hash(), twin.scheduler.state_hash());
}

TEST(Hash, ThePolicysHashFollowsThePolicyAlone) {
  Driver driver(cluster_of(2, 8));
  const std::string before = driver.scheduler.policy_hash();
  driver.submit(1, hours(1));
  EXPECT_EQ(driver.scheduler.policy_hash(), before);
  PolicyConfig policy;
  policy.backfill = "none";
  driver.apply(PolicyChanged{policy, {}});
  EXPECT_NE(driver.scheduler.policy_hash(), before);
}

namespace shapes {
struct One {
  std::int64_t a = 0;
  std::vector<std::string> b;
};
BOOST_DESCRIBE_STRUCT(One, (), (a, b))
struct Two {
  std::int64_t a = 0;
  std::vector<std::string> b;
};
BOOST_DESCRIBE_STRUCT(Two, (), (a, b))
struct Longer {
  std::int64_t a = 0;
  std::vector<std::string> b;
  std::optional<std::int64_t> c;
};
BOOST_DESCRIBE_STRUCT(Longer, (), (a, b, c))
struct Holder {
  std::map<std::string, Longer> held;
};
BOOST_DESCRIBE_STRUCT(Holder, (), (held))
}  // namespace shapes

TEST(Shape, FollowsNamesAndKindsOfMembersAllTheWayDown) {
  const auto shape = []<class T>(T*) {
    Hasher hasher;
    add_shape<T>(hasher);
    return hasher.hex();
  };
  const auto one = shape(static_cast<shapes::One*>(nullptr));
  EXPECT_EQ(one, shape(static_cast<shapes::Two*>(nullptr)));
  EXPECT_NE(one, shape(static_cast<shapes::Longer*>(nullptr)));
  EXPECT_NE(shape(static_cast<shapes::Holder*>(nullptr)), shape(static_cast<shapes::Longer*>(nullptr)));
  EXPECT_EQ(Scheduler::state_shape().size(), 32u);
}

}  // namespace
}  // namespace ultramarine::core

// What every store promises, asked of each of them.
#include <gtest/gtest.h>

#include <filesystem>

#include "scheduler/protocol/codec.h"
#include "scheduler/store/store.h"
#include "tests/unit/protocol/filled.h"
#include "tests/unit/store/temporary_folder.h"

namespace ultramarine::store {
namespace {

struct Maker {
  const char* name;
  std::unique_ptr<Store> (*open)(const TemporaryFolder&);
};

class StoreConformance : public testing::TestWithParam<Maker> {
 protected:
  TemporaryFolder folder;
  std::unique_ptr<Store> store = GetParam().open(folder);
};

Entry cancelled(std::int64_t job) { return JobCancelled{JobId{job}, Actor{1000, "someone", "socket"}}; }

Batch batch_of(std::initializer_list<std::int64_t> jobs) {
  Batch batch;
  for (const auto job : jobs) batch.entries.emplace_back(Time{job * 10}, cancelled(job));
  return batch;
}

/// "sequence:at:job" of every record from `first` on.
std::vector<std::string> records(const Store& store, std::int64_t first = 1) {
  std::vector<std::string> out;
  store.read(first, [&](const Record& record) {
    out.push_back(std::to_string(record.sequence) + ":" + std::to_string(record.at_ms.ms) + ":" +
                  std::to_string(std::get<JobCancelled>(record.entry).job.value));
  });
  return out;
}

using Lines = std::vector<std::string>;

TEST_P(StoreConformance, StartsEmpty) {
  EXPECT_EQ(store->last_sequence(), 0);
  EXPECT_EQ(records(*store), Lines{});
  EXPECT_FALSE(store->newest_snapshot().has_value());
  EXPECT_FALSE(store->environment(JobId{1}).has_value());
}

TEST_P(StoreConformance, NumbersEntriesInOrderWithoutGaps) {
  EXPECT_EQ(store->append(batch_of({5})), 1);
  EXPECT_EQ(store->append(batch_of({7, 6})), 3);
  EXPECT_EQ(store->append(batch_of({})), 3);
  EXPECT_EQ(store->append(batch_of({9})), 4);
  EXPECT_EQ(store->last_sequence(), 4);
  EXPECT_EQ(records(*store), (Lines{"1:50:5", "2:70:7", "3:60:6", "4:90:9"}));
}

TEST_P(StoreConformance, ReadsFromTheMiddle) {
  store->append(batch_of({1, 2, 3}));
  EXPECT_EQ(records(*store, 3), Lines{"3:30:3"});
  EXPECT_EQ(records(*store, 4), Lines{});
  EXPECT_EQ(records(*store, 99), Lines{});
  EXPECT_EQ(records(*store, -5).size(), 3u);
}

TEST_P(StoreConformance, BringsBackEveryEntryWithEveryMember) {
  Batch batch;
  std::vector<std::string> written;
  protocol::for_each_alternative<Entry>([&](const Entry& entry, const std::string&) {
    written.push_back(protocol::to_json(entry));
    batch.entries.emplace_back(Time{static_cast<std::int64_t>(written.size())}, entry);
  });
  store->append(batch);
  std::vector<std::string> read;
  store->read(1, [&](const Record& record) {
    EXPECT_EQ(record.at_ms.ms, record.sequence);
    read.push_back(protocol::to_json(record.entry));
  });
  EXPECT_EQ(read, written);
}

TEST_P(StoreConformance, KeepsEnvironmentsBesideTheJournalUntilForgotten) {
  const std::map<std::string, std::string> one{{"PATH", "/bin"}, {"EMPTY", ""}}, two{{"TOKEN", "s3cret \"\n\xC3\xA4"}};
  Batch batch = batch_of({1});
  batch.environments = {{JobId{1}, one}, {JobId{2}, two}};
  EXPECT_EQ(store->append(batch), 1);
  EXPECT_EQ(store->environment(JobId{1}), one);
  EXPECT_EQ(store->environment(JobId{2}), two);
  EXPECT_EQ(store->environment(JobId{3}), std::nullopt);

  Batch forget;
  forget.forget_environments = {JobId{1}, JobId{77}};
  forget.environments = {{JobId{2}, one}};
  EXPECT_FALSE(forget.empty());
  EXPECT_EQ(store->append(forget), 1);  // no entry, no number
  EXPECT_EQ(store->environment(JobId{1}), std::nullopt);
  EXPECT_EQ(store->environment(JobId{2}), one);  // replaced
}

TEST_P(StoreConformance, KeepsLettersUntilForgotten) {
  EXPECT_EQ(store->letters(), Letters{});
  EXPECT_EQ(store->looked_until(), std::nullopt);
  Batch batch = batch_of({1});
  batch.letters = {{1, "one"}, {2, "two \"\xC3\xA4\"\n"}, {7, "seven"}};
  EXPECT_EQ(store->append(batch), 1);
  EXPECT_EQ(store->letters(), batch.letters);
  Batch forget;
  forget.forget_letters = {1, 99};
  forget.looked_until_ms = Time{5};
  EXPECT_FALSE(forget.empty());
  EXPECT_EQ(store->append(forget), 1) << "no entry, no number";
  EXPECT_EQ(store->letters(), (Letters{{2, "two \"\xC3\xA4\"\n"}, {7, "seven"}}));
  EXPECT_EQ(store->looked_until(), Time{5});
}

TEST_P(StoreConformance, KeepsTheEnvironmentOfEachGangByItself) {
  Batch batch = batch_of({1});
  batch.environments = {{JobId{1}, {{"A", "job"}}}, {{JobId{1}, 2}, {{"A", "gang"}}}};
  store->append(batch);
  EXPECT_EQ(store->environment(JobId{1})->at("A"), "job");
  EXPECT_EQ(store->environment({JobId{1}, 2})->at("A"), "gang");
  EXPECT_EQ(store->environment({JobId{1}, 3}), std::nullopt);
  Batch forget;
  forget.forget_environments = {{JobId{1}, 2}};
  store->append(forget);
  EXPECT_EQ(store->environment({JobId{1}, 2}), std::nullopt);
  EXPECT_TRUE(store->environment(JobId{1}));
}

TEST_P(StoreConformance, FindsWhatIsAboutAJobOrANode) {
  const auto about = [&](const std::string& subject) {
    std::vector<std::int64_t> sequences;
    store->read_about(subject, [&](const Record& record) { sequences.push_back(record.sequence); });
    return sequences;
  };
  Batch batch = batch_of({1, 2, 1});
  batch.entries.emplace_back(Time{40}, NodeJoined{"node01", "boot", "1", "", {}});
  batch.entries.emplace_back(Time{50}, Round{Time{50}, 1, "", {StartJob{JobId{1}, 1, {}, false}, RejectJob{JobId{2}, "no"}, StartJob{JobId{1}, 2, {}, false}}});
  store->append(batch);
  store->append(batch_of({2}));
  using Sequences = std::vector<std::int64_t>;
  EXPECT_EQ(about("job 1"), (Sequences{1, 3, 5}));
  EXPECT_EQ(about("job 2"), (Sequences{2, 5, 6}));
  EXPECT_EQ(about("job 12"), Sequences{});
  EXPECT_EQ(about("node node01"), Sequences{4});
}

TEST_P(StoreConformance, KeepsTheNewestTwoSnapshots) {
  store->append(batch_of({1, 2, 3}));
  Snapshot snapshot{.sequence = 1, .at_ms = Time{11}, .state_hash = "one", .state = protocol::filled<State>()};
  store->save_snapshot(snapshot);
  snapshot.sequence = 3;
  snapshot.state_hash = "three";
  store->save_snapshot(snapshot);
  snapshot.sequence = 2;  // a late one doesn't hide the newest
  snapshot.state_hash = "two";
  store->save_snapshot(snapshot);
  const auto newest = store->newest_snapshot();
  ASSERT_TRUE(newest.has_value());
  EXPECT_EQ(newest->sequence, 3);
  EXPECT_EQ(newest->at_ms, Time{11});
  EXPECT_EQ(newest->state_hash, "three");
  EXPECT_EQ(newest->state, protocol::filled<State>());
}

TEST_P(StoreConformance, RefusesASnapshotOfWhatIsNotWritten) {
  store->append(batch_of({1}));
  EXPECT_THROW(store->save_snapshot(Snapshot{.sequence = 2}), StoreError);
  EXPECT_FALSE(store->newest_snapshot().has_value());
  EXPECT_EQ(store->append(batch_of({2})), 2);  // that was a wrong question, no failed write
}

TEST_P(StoreConformance, ProvingThatItCanWriteChangesNothing) {
  store->append(batch_of({1}));
  store->prove_writable();
  store->prove_writable();
  EXPECT_EQ(records(*store), Lines{"1:10:1"});
  EXPECT_EQ(store->append(batch_of({2})), 2);
}

TEST_P(StoreConformance, ReadsAPieceOfItself) {
  store->append(batch_of({1, 2, 3, 4}));
  const auto between = [&](std::int64_t first, std::int64_t last) {
    std::vector<std::int64_t> sequences;
    store->read_between(first, last, [&](const Record& record) { sequences.push_back(record.sequence); });
    return sequences;
  };
  EXPECT_EQ(between(2, 3), (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(between(-5, 1), std::vector<std::int64_t>{1});
  EXPECT_EQ(between(4, 100), std::vector<std::int64_t>{4});
  EXPECT_TRUE(between(3, 2).empty());
  EXPECT_TRUE(between(5, 9).empty());
}

TEST_P(StoreConformance, AVisitorThatThrowsStopsTheReadingAndHarmsNothing) {
  store->append(batch_of({1, 2, 3}));
  int seen = 0;
  EXPECT_THROW(store->read(1, [&](const Record&) { if (++seen == 2) throw std::runtime_error("enough"); }), std::runtime_error);
  EXPECT_EQ(seen, 2);
  EXPECT_EQ(records(*store).size(), 3u);
  EXPECT_EQ(store->append(batch_of({4})), 4);
}

INSTANTIATE_TEST_SUITE_P(Stores, StoreConformance,
                         testing::Values(Maker{"Sqlite", [](const TemporaryFolder& folder) { return open_sqlite(folder / "journal.db"); }},
                                         Maker{"Memory", [](const TemporaryFolder&) { return open_memory(); }}),
                         [](const auto& parameter) { return std::string(parameter.param.name); });

TEST(MemoryStore, WritesNothingMoreAfterThePowerCut) {
  const auto store = open_memory(2);
  store->append(batch_of({1}));
  store->append(batch_of({2, 3}));
  EXPECT_THROW(store->append(batch_of({4})), StoreError);
  EXPECT_THROW(store->append(batch_of({5})), StoreError);
  EXPECT_THROW(store->save_snapshot(Snapshot{.sequence = 1}), StoreError);
  EXPECT_THROW(store->prove_writable(), StoreError);
  EXPECT_EQ(records(*store).size(), 3u);  // what was on disk is there to start again from
  EXPECT_THROW(open_memory(0)->append(batch_of({1})), StoreError);
}

}  // namespace
}  // namespace ultramarine::store

#include "worker/devices/xid_table.h"

#include <gmock/gmock.h>

#include <set>
#include <string>

using namespace ultramarine::devices;
using testing::HasSubstr;

/// What the rows do, told apart once more: every row of the table must be here, with its effect.
TEST(XidTable, SaysOfEveryCodeWhatIsDone) {
  const std::set<std::int64_t> fail{46, 48, 62, 79, 94, 95, 109, 140, 143, 158};
  const std::set<std::int64_t> drain{54, 64, 74, 110, 119, 120, 136, 144, 145, 146, 147, 148, 149, 150, 156};
  const std::set<std::int64_t> note{37, 38, 44, 45, 63, 66, 67, 92, 121, 154, 157, 160, 161};
  const std::set<std::int64_t> blame{8,  11, 13, 31, 32, 39, 40, 41, 43, 60, 68, 69, 70, 71, 72,
                                     75, 76, 77, 80, 82, 83, 84, 85, 86, 88, 89, 137};
  EXPECT_EQ(fail.size() + drain.size() + note.size() + blame.size(), xid_rows().size());
  std::int64_t before = 0;
  for (const XidRow& row : xid_rows()) {
    SCOPED_TRACE(row.code);
    EXPECT_GT(row.code, std::exchange(before, row.code));
    EXPECT_EQ(find_xid(row.code), &row);
    EXPECT_EQ(row.effect == XidEffect::fail_job, fail.contains(row.code));
    EXPECT_EQ(row.effect == XidEffect::drain_node, drain.contains(row.code));
    EXPECT_EQ(row.effect == XidEffect::note, note.contains(row.code));
    EXPECT_EQ(row.effect == XidEffect::blame_job, blame.contains(row.code));
    EXPECT_GT(std::string(row.name).size(), 8u);
    const std::string source = row.source, cited = "row " + std::to_string(row.code) + ": ";
    ASSERT_THAT(source, HasSubstr(cited));
    // Never milder than the catalogue: what needs a reset or a reboot there is never only a note or the job's own fault.
    const std::string action = source.substr(source.find(cited) + cited.size());
    if (action.starts_with("RESET_") || action == "RESTART_BM" || action == "CHECK_MECHANICALS")
      EXPECT_TRUE(row.effect == XidEffect::fail_job || row.effect == XidEffect::drain_node) << action;
    if (action == "IGNORE") EXPECT_TRUE(row.effect == XidEffect::note || row.effect == XidEffect::blame_job) << action;
  }
}

TEST(XidTable, KnowsNothingOfOtherCodes) {
  for (const std::int64_t code : {-1, 0, 1, 14, 999, 100'000}) EXPECT_EQ(find_xid(code), nullptr) << code;
}

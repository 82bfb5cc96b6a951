// What keys do in `ultra top`, without a terminal: order, filter, the selection that stays with its job, pages, the
// question before a cancel.
#include "scheduler/cli/top/top_model.h"

#include <gtest/gtest.h>

#include "tests/unit/cli/fake_api.h"

namespace ultramarine::cli {
namespace {

protocol::JobView job(std::int64_t id, const std::string& name, const std::string& owner, const std::string& account,
                      std::int64_t gpus) {
  protocol::JobView view = test::running_job();
  view.details.job = {id};
  view.details.spec.name = name;
  view.details.owner.name = owner;
  view.details.spec.account = account;
  view.gpus = gpus;
  return view;
}

Key typed(const std::string& text) { return {Key::Kind::character, text}; }

class Top : public testing::Test {
 protected:
  void SetUp() override {
    take({job(1, "train", "ada", "vision", 8), job(2, "학습 Études", "bob", "audio", 16),
          job(3, "eval", "ada", "audio", 1)});
  }
  void take(std::vector<protocol::JobView> jobs) {
    protocol::JobList list;
    list.now_ms = test::fixed_now;
    list.jobs = std::move(jobs);
    model.take({}, {}, std::move(list));
  }
  std::vector<std::int64_t> order() const {
    std::vector<std::int64_t> ids;
    for (const auto* view : model.rows()) ids.push_back(view->details.job.value);
    return ids;
  }
  void press(const std::string& keys) {
    for (const char key : keys) model.press(typed(std::string(1, key)), 10);
  }
  TopModel model{"bob"};
};

using Ids = std::vector<std::int64_t>;

TEST_F(Top, MineComeFirstAndTheRestAsTheSchedulerSaid) {
  EXPECT_EQ(order(), (Ids{2, 1, 3}));
  press("s");
  EXPECT_EQ(order(), (Ids{1, 2, 3}));
  press("s");
  EXPECT_EQ(order(), (Ids{2, 1, 3}));  // most GPUs
  press("s");
  EXPECT_EQ(order(), (Ids{2, 3, 1}));  // by account
  press("ss");
  EXPECT_EQ(model.sort(), TopSort::mine_first);
}

TEST_F(Top, TheFilterLooksAtNamesWhateverTheirCase) {
  press("/");
  model.press(typed("É"), 10);
  EXPECT_EQ(order(), (Ids{2}));
  model.press({Key::Kind::backspace}, 10);
  EXPECT_EQ(model.filter(), "");  // a whole character, not a byte of it
  press("AUDIO");
  EXPECT_EQ(order(), (Ids{2, 3}));
  model.press({Key::Kind::enter}, 10);
  EXPECT_EQ(model.mode(), TopMode::list);
  model.press({Key::Kind::escape}, 10);
  EXPECT_EQ(order(), (Ids{2, 1, 3}));
  press("/q");  // a letter of the text, not the key that ends the program
  EXPECT_EQ(model.mode(), TopMode::filter);
}

TEST_F(Top, TheSelectionStaysWithItsJob) {
  model.press({Key::Kind::down}, 10);
  EXPECT_EQ(model.selected_job()->details.job.value, 1);
  take({job(3, "eval", "ada", "audio", 1), job(1, "train", "ada", "vision", 8), job(2, "x", "bob", "audio", 16)});
  EXPECT_EQ(model.selected_job()->details.job.value, 1);
  take({job(3, "eval", "ada", "audio", 1)});
  EXPECT_EQ(model.selected_job()->details.job.value, 3);
  take({});
  EXPECT_EQ(model.selected_job(), nullptr);
  EXPECT_EQ(model.press({Key::Kind::enter}, 10).kind, TopAction::Kind::none);  // nothing to open
  EXPECT_EQ(model.press(typed("c"), 10).kind, TopAction::Kind::none);
  EXPECT_EQ(model.mode(), TopMode::list);
}

TEST_F(Top, OnlyYCancels) {
  for (const Key& key : {typed("n"), Key{Key::Kind::enter}, Key{Key::Kind::escape}, typed("c")}) {
    press("c");
    EXPECT_EQ(model.mode(), TopMode::confirm);
    EXPECT_EQ(model.press(key, 10).kind, TopAction::Kind::none);
  }
  press("c");
  take({});  // even when it leaves the list meanwhile, the question is about this job
  const TopAction action = model.press(typed("y"), 10);
  EXPECT_EQ(action.kind, TopAction::Kind::cancel);
  EXPECT_EQ(action.job, JobId{2});
  take({test::completed_job()});
  press("c");
  EXPECT_EQ(model.message(), "Job 5 has already ended.");
}

TEST_F(Top, PagesScrollAndOutputKeepsItsEndInSight) {
  EXPECT_EQ(model.press(typed("l"), 10).kind, TopAction::Kind::open_logs);
  std::vector<std::string> lines(100, "x");
  model.take_page(lines, true);
  EXPECT_EQ(model.page_offset(10), 90U);
  lines.resize(120);
  model.take_page(lines, true);
  EXPECT_EQ(model.page_offset(10), 110U);
  model.press({Key::Kind::page_up}, 10);
  lines.resize(130);
  model.take_page(lines, true);
  EXPECT_EQ(model.page_offset(10), 100U);  // somebody reads
  model.press({Key::Kind::end}, 10);
  lines.resize(140);
  model.take_page(lines, true);
  EXPECT_EQ(model.page_offset(10), 130U);
  EXPECT_EQ(model.press(typed("q"), 10).kind, TopAction::Kind::close_page);
  EXPECT_EQ(model.press(typed("q"), 10).kind, TopAction::Kind::quit);
}

TEST_F(Top, FromTheDetailsToTheOutputOfTheSameJob) {
  EXPECT_EQ(model.press({Key::Kind::enter}, 10).job, JobId{2});
  take({job(1, "train", "ada", "vision", 8)});
  const TopAction action = model.press(typed("l"), 10);
  EXPECT_EQ(action.kind, TopAction::Kind::open_logs);
  EXPECT_EQ(action.job, JobId{2});
}

TEST_F(Top, TheSelectedRowIsInSight) {
  std::vector<protocol::JobView> many;
  for (std::int64_t i = 1; i <= 50; ++i) many.push_back(job(i, "j", "ada", "a", 1));
  take(many);
  for (int i = 0; i < 20; ++i) model.press({Key::Kind::down}, 5);
  EXPECT_EQ(model.first_row(5) + 4, model.selected());
  model.press({Key::Kind::home}, 5);
  EXPECT_EQ(model.first_row(5), 0U);
  model.press({Key::Kind::end}, 5);
  EXPECT_EQ(model.first_row(5), 45U);
}

}  // namespace
}  // namespace ultramarine::cli

#include "scheduler/cli/top/top_model.h"

#include <unicase.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "scheduler/cli/language.h"
#include "scheduler/cli/words.h"

namespace ultramarine::cli {
namespace {

std::string lower(const std::string& text) {
  std::size_t length = 0;
  std::uint8_t* folded =
      u8_tolower(reinterpret_cast<const std::uint8_t*>(text.data()), text.size(), nullptr, nullptr, nullptr, &length);
  if (!folded) return text;
  std::string result(reinterpret_cast<const char*>(folded), length);
  std::free(folded);
  return result;
}

/// Takes the last character off, all its bytes.
void erase_last(std::string& text) {
  while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xC0U) == 0x80U) text.pop_back();
  if (!text.empty()) text.pop_back();
}

}  // namespace

std::string searched_text(const protocol::JobView& view) {
  const Job& job = view.details;
  std::string text = std::to_string(job.job.value);
  for (const std::string& part : {job.spec.name, job.owner.name, job.spec.account, job.spec.partition, job.spec.qos,
                                  word(job.state), std::string(boost::describe::enum_to_string(job.state, ""))})
    text += "\n" + part;
  if (!job.attempts.empty()) {
    for (const NodeAllocation& node : job.attempts.back().allocation) text += "\n" + node.node;
  }
  return lower(text);
}

void TopModel::take(protocol::ClusterView cluster, protocol::NodeList nodes, protocol::JobList jobs) {
  cluster_ = std::move(cluster);
  nodes_ = std::move(nodes);
  jobs_ = std::move(jobs);
  if (away_) history_.add_gap();
  history_.add(cluster_, nodes_);
  std::set<std::string> accounts;
  for (const protocol::JobView& view : jobs_.jobs) accounts.insert(view.details.spec.account);
  accounts_.assign(accounts.begin(), accounts.end());
  arrange();
}

void TopModel::take_page(std::vector<std::string> lines, bool follow) {
  if (mode_ != TopMode::page) return;
  if (follow && lines_.empty()) at_end_ = true;
  lines_ = std::move(lines);
}

void TopModel::arrange() {
  rows_.clear();
  const std::string wanted = lower(filter_);
  for (const protocol::JobView& view : jobs_.jobs) {
    if (wanted.empty() || searched_text(view).find(wanted) != std::string::npos) rows_.push_back(&view);
  }
  const auto before = [this](const protocol::JobView* a, const protocol::JobView* b) {
    const Job &one = a->details, &other = b->details;
    switch (sort_) {
      case TopSort::mine_first:
        return (one.owner.name == me_) > (other.owner.name == me_);
      case TopSort::queue_order:
        return false;  // as the scheduler sends them
      case TopSort::gpus:
        return a->gpus > b->gpus;
      case TopSort::account:
        return one.spec.account < other.spec.account;
      case TopSort::longest:
        return elapsed(one, jobs_.now_ms) > elapsed(other, jobs_.now_ms);
    }
    return false;
  };
  std::stable_sort(rows_.begin(), rows_.end(), before);
  // The same job stays selected wherever it went; when it is gone, its row.
  const auto found = std::find_if(rows_.begin(), rows_.end(),
                                  [&](const auto* view) { return selected_ && view->details.job == *selected_; });
  if (found != rows_.end()) selected_row_ = static_cast<std::size_t>(found - rows_.begin());
  move(0);
}

void TopModel::move(std::ptrdiff_t by) {
  if (rows_.empty()) {
    selected_row_ = 0;
    return;
  }
  const auto last = static_cast<std::ptrdiff_t>(rows_.size()) - 1;
  selected_row_ =
      static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(selected_row_) + by, 0, last));
  selected_ = rows_[selected_row_]->details.job;
}

std::size_t TopModel::selected() const { return selected_row_; }

const protocol::JobView* TopModel::selected_job() const { return rows_.empty() ? nullptr : rows_[selected_row_]; }

std::size_t TopModel::first_row(std::size_t rows_on_screen) {
  if (rows_on_screen == 0) return selected_row_;
  if (selected_row_ < first_row_) first_row_ = selected_row_;
  if (selected_row_ >= first_row_ + rows_on_screen) first_row_ = selected_row_ + 1 - rows_on_screen;
  if (first_row_ + rows_on_screen > rows_.size())
    first_row_ = rows_.size() > rows_on_screen ? rows_.size() - rows_on_screen : 0;
  return first_row_;
}

char TopModel::letter_of(JobId job) {
  static constexpr char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  return letters[static_cast<std::size_t>(job.value > 0 ? job.value - 1 : 0) % (sizeof letters - 1)];
}

std::size_t TopModel::number_of_account(const std::string& account) const {
  return static_cast<std::size_t>(std::lower_bound(accounts_.begin(), accounts_.end(), account) - accounts_.begin());
}

std::size_t TopModel::page_offset(std::size_t page_rows) const {
  const std::size_t last = lines_.size() > page_rows ? lines_.size() - page_rows : 0;
  return at_end_ ? last : std::min(offset_, last);
}

void TopModel::scroll(std::ptrdiff_t by, std::size_t page_rows) {
  const std::size_t last = lines_.size() > page_rows ? lines_.size() - page_rows : 0;
  const auto now = static_cast<std::ptrdiff_t>(page_offset(page_rows));
  offset_ = static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(now + by, 0, static_cast<std::ptrdiff_t>(last)));
  at_end_ = page_ == TopPage::logs && offset_ == last;
}

TopAction TopModel::open(TopPage page) {
  const bool from_page = mode_ == TopMode::page;  // then it is about the same job, wherever the selection went
  if (page != TopPage::help && !from_page && !selected_job()) return {};
  mode_ = TopMode::page;
  page_ = page;
  lines_.clear();
  offset_ = 0;
  at_end_ = false;
  if (page == TopPage::help) return {};
  if (!from_page) page_job_ = selected_job()->details.job;
  return {page == TopPage::job ? TopAction::Kind::open_job : TopAction::Kind::open_logs, page_job_};
}

TopAction TopModel::press(const Key& key, std::size_t page_rows) {
  switch (mode_) {
    case TopMode::list:
      message_.clear();
      return press_in_list(key, page_rows);
    case TopMode::filter:
      return press_in_filter(key);
    case TopMode::page:
      return press_in_page(key, page_rows);
    case TopMode::confirm:
      mode_ = TopMode::list;
      if (key.kind == Key::Kind::character && (key.text == "y" || key.text == "Y"))
        return {TopAction::Kind::cancel, page_job_};
      say(spoken("Nothing was cancelled."));
      return {};
  }
  return {};
}

TopAction TopModel::press_in_list(const Key& key, std::size_t page_rows) {
  const auto page = static_cast<std::ptrdiff_t>(std::max<std::size_t>(page_rows, 1));
  switch (key.kind) {
    case Key::Kind::up:
      move(-1);
      return {};
    case Key::Kind::down:
      move(1);
      return {};
    case Key::Kind::page_up:
      move(-page);
      return {};
    case Key::Kind::page_down:
      move(page);
      return {};
    case Key::Kind::home:
      move(-static_cast<std::ptrdiff_t>(rows_.size()));
      return {};
    case Key::Kind::end:
      move(static_cast<std::ptrdiff_t>(rows_.size()));
      return {};
    case Key::Kind::enter:
      return open(TopPage::job);
    case Key::Kind::escape:
      filter_.clear();
      arrange();
      return {};
    case Key::Kind::backspace:
      return {};
    case Key::Kind::character:
      break;
  }
  if (key.text == "q") return {TopAction::Kind::quit};
  if (key.text == "k") move(-1);
  if (key.text == "j") move(1);
  if (key.text == "l") return open(TopPage::logs);
  if (key.text == "?" || key.text == "h") return open(TopPage::help);
  if (key.text == "/") mode_ = TopMode::filter;
  if (key.text == "s") {
    sort_ = sort_ == TopSort::longest ? TopSort::mine_first : static_cast<TopSort>(static_cast<int>(sort_) + 1);
    arrange();
  }
  if (key.text == "c" && selected_job()) {
    const Job& job = selected_job()->details;
    if (is_terminal(job.state)) {
      say(spoken("Job {0} has already ended.", job.job.value));
    } else {
      page_job_ = job.job;
      mode_ = TopMode::confirm;
    }
  }
  return {};
}

TopAction TopModel::press_in_filter(const Key& key) {
  if (key.kind == Key::Kind::enter) {
    mode_ = TopMode::list;
  } else if (key.kind == Key::Kind::escape) {
    filter_.clear();
    mode_ = TopMode::list;
  } else if (key.kind == Key::Kind::backspace) {
    erase_last(filter_);
  } else if (key.kind == Key::Kind::character) {
    filter_ += key.text;
  } else {
    mode_ = TopMode::list;
    return press_in_list(key, 1);
  }
  arrange();
  return {};
}

TopAction TopModel::press_in_page(const Key& key, std::size_t page_rows) {
  const auto page = static_cast<std::ptrdiff_t>(std::max<std::size_t>(page_rows, 1));
  const auto all = static_cast<std::ptrdiff_t>(lines_.size());
  const bool is_character = key.kind == Key::Kind::character;
  if (key.kind == Key::Kind::up || (is_character && key.text == "k")) scroll(-1, page_rows);
  if (key.kind == Key::Kind::down || (is_character && key.text == "j")) scroll(1, page_rows);
  if (key.kind == Key::Kind::page_up) scroll(-page, page_rows);
  if (key.kind == Key::Kind::page_down || (is_character && key.text == " ")) scroll(page, page_rows);
  if (key.kind == Key::Kind::home) scroll(-all, page_rows);
  if (key.kind == Key::Kind::end) scroll(all, page_rows);
  if (is_character && page_ == TopPage::job && key.text == "l") return open(TopPage::logs);
  const bool back = key.kind == Key::Kind::escape || key.kind == Key::Kind::backspace || key.kind == Key::Kind::enter ||
                    (is_character && (key.text == "q" || (page_ == TopPage::help && key.text == "?")));
  if (!back) return {};
  mode_ = TopMode::list;
  page_ = TopPage::none;
  return {TopAction::Kind::close_page};
}

}  // namespace ultramarine::cli

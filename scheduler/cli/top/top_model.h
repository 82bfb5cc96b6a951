// What `ultra top` shows and what a key does, as a value: no terminal, no network. The feed fills in what the scheduler
// said, the screen draws it; keys change only this.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/cli/top/top_history.h"
#include "scheduler/protocol/api_messages.h"

namespace ultramarine::cli {

struct Key {
  enum class Kind { character, up, down, page_up, page_down, home, end, enter, escape, backspace };
  Kind kind = Kind::character;
  std::string text = {};  // of a character, UTF-8
};

/// What a key asks of the world outside.
struct TopAction {
  enum class Kind { none, quit, open_job, open_logs, close_page, cancel };
  Kind kind = Kind::none;
  JobId job = {};
};

enum class TopSort { mine_first, queue_order, gpus, account, longest };
enum class TopMode { list, filter, confirm, page };
enum class TopPage { none, job, logs, help };

class TopModel {
 public:
  explicit TopModel(std::string me) : me_(std::move(me)) {}

  void take(protocol::ClusterView cluster, protocol::NodeList nodes, protocol::JobList jobs);
  /// The lines of the open page; `follow` keeps the end in sight until somebody scrolls up.
  void take_page(std::vector<std::string> lines, bool follow);
  void say(std::string message) { message_ = std::move(message); }
  void set_away(bool away) { away_ = away; }

  /// `page_rows`: how many lines of a page, or jobs of the list, the screen has room for.
  TopAction press(const Key& key, std::size_t page_rows);

  /// Jobs that pass the filter, in the order asked for.
  const std::vector<const protocol::JobView*>& rows() const { return rows_; }
  std::size_t selected() const;  // index into rows()
  /// First row to draw, so that the selected one is in sight.
  std::size_t first_row(std::size_t rows_on_screen);
  const protocol::JobView* selected_job() const;

  const protocol::ClusterView& cluster() const { return cluster_; }
  const protocol::NodeList& nodes() const { return nodes_; }
  const protocol::JobList& jobs() const { return jobs_; }
  /// A sample for each take(); a gap where the scheduler was away in between.
  const TopHistory& history() const { return history_; }
  /// A letter for each job, the same as long as it lives, in the wall and in the list.
  static char letter_of(JobId job);
  /// A number for each account, for colours: its place in the alphabet of those that are seen.
  std::size_t number_of_account(const std::string& account) const;

  TopMode mode() const { return mode_; }
  TopPage page() const { return page_; }
  TopSort sort() const { return sort_; }
  const std::string& filter() const { return filter_; }
  const std::string& message() const { return message_; }
  bool away() const { return away_; }
  const std::vector<std::string>& page_lines() const { return lines_; }
  std::size_t page_offset(std::size_t page_rows) const;
  JobId page_job() const { return page_job_; }

 private:
  void arrange();
  void move(std::ptrdiff_t by);
  void scroll(std::ptrdiff_t by, std::size_t page_rows);
  TopAction press_in_list(const Key& key, std::size_t page_rows);
  TopAction press_in_filter(const Key& key);
  TopAction press_in_page(const Key& key, std::size_t page_rows);
  TopAction open(TopPage page);

  const std::string me_;
  protocol::ClusterView cluster_;
  protocol::NodeList nodes_;
  protocol::JobList jobs_;
  TopHistory history_;
  std::vector<const protocol::JobView*> rows_;
  std::vector<std::string> accounts_;
  std::optional<JobId> selected_;
  std::size_t selected_row_ = 0, first_row_ = 0;
  TopMode mode_ = TopMode::list;
  TopPage page_ = TopPage::none;
  TopSort sort_ = TopSort::mine_first;
  std::string filter_, message_;
  bool away_ = false;
  JobId page_job_;
  std::vector<std::string> lines_;
  std::size_t offset_ = 0;
  bool at_end_ = false;  // of a page that grows
};

/// The words of a job that a filter looks at, in lower case.
std::string searched_text(const protocol::JobView& view);

}  // namespace ultramarine::cli

#include "scheduler/cli/top/top_screen.h"

#define NCURSES_WIDECHAR 1
#include <curses.h>

#include <algorithm>

#include "scheduler/cli/job_name.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/text_width.h"
#include "scheduler/cli/top/sparkline.h"
#include "scheduler/cli/words.h"

namespace ultramarine::cli {
namespace {

// Pairs 1 to 6 are for accounts, by their number; the named ones follow.
constexpr short account_colours[] = {COLOR_GREEN, COLOR_CYAN, COLOR_YELLOW, COLOR_MAGENTA, COLOR_BLUE, COLOR_RED};
constexpr short red_pair = 7, yellow_pair = 8, green_pair = 9;

// How much of the past there is room for.
constexpr std::size_t history_rows_least = 10;  // of the window, for the line about the whole cluster
constexpr std::size_t history_columns_least = 4, history_columns_most = 60, node_history_columns_most = 20;

class Pen {
 public:
  explicit Pen(const FullScreen& screen) : columns_(screen.columns()), colour_(screen.has_colour()) {}

  /// `text` in `width` columns from (row, column); what would go over the edge is left out.
  void put(std::size_t row, std::size_t column, const std::string& text, std::size_t width, attr_t look = A_NORMAL,
           short pair = 0) const {
    if (column >= columns_) return;
    attr_set(look, colour_ ? pair : static_cast<short>(0), nullptr);
    mvaddstr(static_cast<int>(row), static_cast<int>(column), padded(text, std::min(width, columns_ - column)).c_str());
    attr_set(A_NORMAL, 0, nullptr);
  }
  short account(std::size_t number) const { return static_cast<short>(1 + number % std::size(account_colours)); }
  std::size_t columns() const { return columns_; }

 private:
  const std::size_t columns_;
  const bool colour_;
};

void prepare_colours(const FullScreen& screen) {
  static bool done = false;
  if (done || !screen.has_colour()) return;
  for (std::size_t i = 0; i < std::size(account_colours); ++i)
    init_pair(static_cast<short>(i + 1), account_colours[i], -1);
  init_pair(red_pair, COLOR_RED, -1);
  init_pair(yellow_pair, COLOR_YELLOW, -1);
  init_pair(green_pair, COLOR_GREEN, -1);
  done = true;
}

short pair_of(Tint tint) {
  return tint == Tint::red      ? red_pair
         : tint == Tint::yellow ? yellow_pair
         : tint == Tint::green  ? green_pair
                                : static_cast<short>(0);
}

std::string sort_name(TopSort sort) {
  switch (sort) {
    case TopSort::mine_first:
      return spoken("mine first");
    case TopSort::queue_order:
      return spoken("queue order");
    case TopSort::gpus:
      return spoken("most GPUs");
    case TopSort::account:
      return spoken("account");
    case TopSort::longest:
      return spoken("longest run");
  }
  return "";
}

std::vector<std::string> help_lines() {
  return {spoken("The wall: a line of GPUs for each node. A letter is a job, as in the list;"),
          spoken("the sign after it shows how busy the GPU is. Colours are accounts."),
          spoken("A dot is an idle GPU, an x one of a node that isn't up."),
          spoken("The lines of heights are the past, one look after the other: GPUs that jobs had,"),
          spoken("and how busy all GPUs were; behind each node how busy its own were."),
          "",
          spoken("up, down, page up, page down, home, end: choose a job"),
          spoken("enter: everything about it"),
          spoken("l: what its ranks print"),
          spoken("c: cancel it, after a question"),
          spoken("/: only jobs with this text in name, user, account, state, node ...; esc: all"),
          spoken("s: another order: mine first, queue, most GPUs, account, longest run"),
          spoken("q: back, or out")};
}

}  // namespace

void TopScreen::draw(TopModel& model, Time now) {
  prepare_colours(screen_);
  erase();
  const std::size_t row = draw_head(model, now);
  if (model.mode() == TopMode::page)
    draw_page(model);
  else
    draw_list(model, draw_wall(model, row));
  draw_foot(model);
  refresh();
}

std::size_t TopScreen::draw_head(const TopModel& model, Time now) {
  const Pen pen(screen_);
  const protocol::ClusterView& cluster = model.cluster();
  std::string text = "ultra top  " + printable(cluster.name) + "  " +
                     spoken("nodes {0}/{1}", cluster.nodes_up, cluster.nodes) + "  " +
                     spoken("GPUs {0}/{1}", cluster.gpus_allocated, cluster.gpus) +
                     (cluster.virtual_devices ? " " + spoken("(virtual)") : "") + "  " +
                     spoken("{0} running, {1} waiting", cluster.jobs_running, cluster.jobs_queued);
  if (model.away())
    text = "ultra top  " + spoken("reconnecting ... (the scheduler doesn't answer; this is as of {0})",
                                  local_time(cluster.now_ms).substr(11));
  pen.put(0, 0, text, pen.columns(), A_BOLD, model.away() ? yellow_pair : static_cast<short>(0));
  const std::string clock = local_time(now).substr(11);
  if (display_width(text) + clock.size() + 2 <= pen.columns())
    pen.put(0, pen.columns() - clock.size(), clock, clock.size());
  return draw_history(model, 1);
}

/// How the cluster went, where there is room for a line of it.
std::size_t TopScreen::draw_history(const TopModel& model, std::size_t row) {
  const Pen pen(screen_);
  if (screen_.rows() < history_rows_least || model.mode() == TopMode::page) return row;
  std::size_t column = 0;
  const auto put_history = [&](const std::string& title, const History& history) {
    const std::string share =
        history.empty() || !history.back() ? "-" : std::to_string((*history.back() + 5) / 10) + "%";
    const std::size_t words = display_width(title) + 7, half = pen.columns() / 2;
    if (words + history_columns_least > half) return;
    const std::size_t width = std::min(half - words, history_columns_most);
    pen.put(row, column, title, display_width(title), A_DIM);
    pen.put(row, column + display_width(title) + 1, sparkline(history, width, utf8_), width, A_NORMAL, green_pair);
    pen.put(row, column + display_width(title) + 2 + width, share, 4, A_DIM);
    column += words + width;
  };
  put_history(spoken("allocated"), model.history().allocated());
  put_history(spoken("busy"), model.history().busy());
  return column > 0 ? row + 1 : row;
}

/// Nodes side by side as wide as the window; returns the row after the wall. At most half of the window.
std::size_t TopScreen::draw_wall(const TopModel& model, std::size_t row) {
  const Pen pen(screen_);
  const auto& nodes = model.nodes().nodes;
  std::size_t name_width = 4, gpus_max = 1;
  for (const protocol::NodeView& node : nodes) {
    name_width = std::max(name_width, display_width(node.node.config.name));
    gpus_max = std::max(gpus_max, static_cast<std::size_t>(node.node.config.gpus));
  }
  const std::size_t signs = name_width + 1 + 2 * gpus_max + 5 <= pen.columns() ? 2 : 1;  // columns of one GPU
  const std::size_t width = name_width + 1 + signs * gpus_max + 5;
  const std::size_t side_by_side = std::max<std::size_t>(1, (pen.columns() + 2) / (width + 2));
  const std::size_t rows_max = std::max<std::size_t>(1, screen_.rows() > 6 ? (screen_.rows() - 4) / 2 : 1);
  const std::size_t shown =
      std::min(nodes.size(), rows_max * side_by_side - (nodes.size() > rows_max * side_by_side ? side_by_side : 0));
  const std::size_t rows = (shown + side_by_side - 1) / side_by_side;
  // What the nodes leave of the width is their past, in equal parts.
  const std::size_t sides = rows > 0 ? (shown + rows - 1) / rows : 1, part = (pen.columns() + 2) / sides;
  const std::size_t history_room = part > width + 2 ? std::min(part - width - 2, node_history_columns_most + 1) : 0;
  const std::size_t history_width = history_room > history_columns_least ? history_room - 1 : 0;
  const std::size_t cell = width + 2 + (history_width > 0 ? history_room : 0);
  std::map<std::int64_t, std::size_t> account_of_job;
  for (const protocol::JobView& view : model.jobs().jobs)
    account_of_job[view.details.job.value] = model.number_of_account(view.details.spec.account);
  for (std::size_t i = 0; i < shown; ++i) {
    const protocol::NodeView& node = nodes[i];
    const std::size_t at_row = row + i % rows, at_column = (i / rows) * cell;
    const bool is_up = node.node.state == NodeState::up;
    pen.put(at_row, at_column, printable(node.node.config.name), name_width, A_NORMAL,
            is_up ? static_cast<short>(0) : pair_of(tint_of(node.node.state)));
    for (std::size_t gpu = 0; gpu < static_cast<std::size_t>(node.node.config.gpus); ++gpu) {
      const std::size_t column = at_column + name_width + 1 + gpu * signs;
      const auto job = gpu < node.device_jobs.size() ? node.device_jobs[gpu] : std::nullopt;
      const std::int64_t busy =
          gpu < node.device_utilization_permille.size() ? node.device_utilization_permille[gpu] : 0;
      if (!job) {
        pen.put(at_row, column, !is_up ? "x" : utf8_ ? "·" : ".", 1, A_DIM);
        continue;
      }
      const auto account = account_of_job.find(job->value);
      const short pair = account == account_of_job.end() ? static_cast<short>(0) : pen.account(account->second);
      const bool selected = model.selected_job() && model.selected_job()->details.job == *job;
      pen.put(at_row, column, std::string(1, TopModel::letter_of(*job)), 1, selected ? A_REVERSE : A_BOLD, pair);
      if (signs == 2) pen.put(at_row, column + 1, level(busy, utf8_), 1, A_NORMAL, pair);
    }
    const std::int64_t mean = busy_permille(node).value_or(0);
    const std::string note = is_up ? std::to_string((mean + 5) / 10) + "%" : word(node.node.state);
    pen.put(at_row, at_column + name_width + 1 + signs * gpus_max + (is_up && note.size() < 5 ? 5 - note.size() : 1),
            note, is_up ? note.size() : std::max<std::size_t>(4, display_width(note)), is_up ? A_DIM : A_NORMAL,
            is_up ? static_cast<short>(0) : pair_of(tint_of(node.node.state)));
    if (history_width > 0 && is_up)
      pen.put(at_row, at_column + width + 1,
              sparkline(model.history().busy(node.node.config.name), history_width, utf8_), history_width, A_NORMAL,
              green_pair);
  }
  row += rows;
  if (shown < nodes.size())
    pen.put(row++, 0, spoken("... and {0} more: 'ultra nodes' shows all", nodes.size() - shown), pen.columns(), A_DIM);
  return row + 1;
}

void TopScreen::draw_list(TopModel& model, std::size_t row) {
  const Pen pen(screen_);
  struct Column {
    std::string title;
    bool right = false;
    std::size_t width = 0;
  };
  std::vector<Column> columns{{" "},
                              {spoken("JOB"), true},
                              {spoken("NAME")},
                              {spoken("USER")},
                              {spoken("ACCOUNT")},
                              {spoken("GPUS"), true},
                              {spoken("STATE")},
                              {spoken("TIME")},
                              {spoken("START")},
                              {spoken("WHERE/WHY")}};
  for (Column& column : columns) column.width = display_width(column.title);
  const Time now = model.jobs().now_ms;
  const std::size_t end = screen_.rows() - 1;
  room_ = end > row + 1 ? end - row - 1 : 0;
  const std::size_t first = model.first_row(room_);
  const auto& rows = model.rows();
  std::vector<std::vector<std::string>> cells;
  for (std::size_t i = first; i < rows.size() && i < first + room_; ++i) {
    const protocol::JobView& view = *rows[i];
    const Job& job = view.details;
    cells.push_back({is_active(job.state) ? std::string(1, TopModel::letter_of(job.job)) : " ", name_of(view),
                     clipped(printable(job.spec.name), 20), printable(job.owner.name), printable(job.spec.account),
                     std::to_string(view.gpus), word(job.state), elapsed_of_limit(job, now), planned_start(view, now),
                     printable(where_or_why(view))});
    for (std::size_t c = 0; c < columns.size(); ++c)
      columns[c].width = std::max(columns[c].width, display_width(cells.back()[c]));
  }
  const auto put_row = [&](std::size_t at, const std::vector<std::string>& texts, attr_t look,
                           const std::vector<short>& pairs) {
    std::size_t column = 0;
    if ((look & A_REVERSE) != 0) pen.put(at, 0, "", pen.columns(), look);
    for (std::size_t c = 0; c < columns.size(); ++c) {
      const bool last = c + 1 == columns.size();
      const std::size_t width = last ? std::max<std::size_t>(columns[c].width, 1) : columns[c].width;
      const std::string text =
          columns[c].right ? std::string(width - std::min(width, display_width(texts[c])), ' ') + texts[c] : texts[c];
      const std::size_t room = column < pen.columns() ? std::min(width, pen.columns() - column) : 0;
      pen.put(at, column, text, room, look, pairs.empty() ? static_cast<short>(0) : pairs[c]);
      column += columns[c].width + 2;
    }
  };
  std::vector<std::string> titles;
  for (const Column& column : columns) titles.push_back(column.title);
  if (row < end) put_row(row, titles, A_DIM, {});
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const Job& job = rows[first + i]->details;
    const bool selected = first + i == model.selected();
    std::vector<short> pairs(columns.size(), 0);
    pairs[0] = pairs[4] = pen.account(model.number_of_account(job.spec.account));
    pairs[6] = pair_of(tint_of(job.state));
    put_row(row + 1 + i, cells[i], selected ? A_REVERSE : A_NORMAL, selected ? std::vector<short>{} : pairs);
  }
  if (rows.empty() && row + 1 < end)
    pen.put(row + 1, 2, model.filter().empty() ? spoken("The queue is empty.") : spoken("No such jobs."), pen.columns(),
            A_DIM);
}

void TopScreen::draw_page(const TopModel& model) {
  const Pen pen(screen_);
  room_ = screen_.rows() > 3 ? screen_.rows() - 3 : 0;
  const std::vector<std::string> help = help_lines();
  const std::vector<std::string>& lines = model.page() == TopPage::help ? help : model.page_lines();
  std::string title = spoken("Help");
  if (model.page() == TopPage::job) title = spoken("Job {0}", model.page_job().value);
  if (model.page() == TopPage::logs) title = spoken("Output of job {0}", model.page_job().value);
  pen.put(1, 0, title, pen.columns(), A_BOLD);
  const std::size_t offset = model.page() == TopPage::help ? 0 : model.page_offset(room_);
  for (std::size_t i = 0; i < room_ && offset + i < lines.size(); ++i)
    pen.put(2 + i, 0, printable(lines[offset + i]), pen.columns());
  if (lines.empty()) pen.put(2, 0, spoken("..."), pen.columns(), A_DIM);
}

void TopScreen::draw_foot(const TopModel& model) {
  const Pen pen(screen_);
  const std::size_t row = screen_.rows() - 1;
  std::string text;
  attr_t look = A_DIM;
  switch (model.mode()) {
    case TopMode::filter:
      text = "/" + model.filter() + "_";
      look = A_BOLD;
      break;
    case TopMode::confirm:
      text = spoken("Cancel job {0}? [y/N]", model.page_job().value);
      look = A_BOLD;
      break;
    case TopMode::page:
      text = spoken("arrows scroll  q back");
      break;
    case TopMode::list:
      if (!model.message().empty()) {
        text = printable(model.message());
        look = A_BOLD;
      } else {
        text = spoken("enter details  l output  c cancel  / filter  s order: {0}  ? help  q quit",
                      sort_name(model.sort()));
        if (!model.filter().empty()) text = "/" + model.filter() + "  " + text;
      }
  }
  pen.put(row, 0, text, pen.columns() - 1, look);
}

}  // namespace ultramarine::cli

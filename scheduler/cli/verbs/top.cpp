// ultra top: the cluster on one screen, alive. Its parts are in top/: what it knows (feed), what it shows (model), how
// it looks (screen).
#include "scheduler/cli/client.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/top/full_screen.h"
#include "scheduler/cli/top/top_feed.h"
#include "scheduler/cli/top/top_screen.h"
#include "scheduler/cli/verb.h"
#include "scheduler/cli/words.h"

namespace ultramarine::cli {
namespace {

void obey(const TopAction& action, TopFeed& feed, std::size_t columns) {
  switch (action.kind) {
    case TopAction::Kind::open_job:
      feed.open_job(action.job, columns);
      break;
    case TopAction::Kind::open_logs:
      feed.open_logs(action.job);
      break;
    case TopAction::Kind::close_page:
      feed.close_page();
      break;
    case TopAction::Kind::cancel:
      feed.cancel(action.job);
      break;
    case TopAction::Kind::none:
    case TopAction::Kind::quit:
      break;
  }
}

int top(const Arguments& arguments, Context& context) {
  const Duration interval = arguments.duration("--interval").value_or(seconds(1));
  if (interval.ms < 100 || interval.ms > 3'600'000)
    usage_error("--interval", spoken("{0} is out of range", *arguments.text("--interval")),
                spoken("give {0} to {1}", "100ms", "1h"));
  TopModel model(own_user_name());
  {
    Client client(context.socket);  // no scheduler is an error like everywhere; only later is it one that comes back
    JobFilter filter;
    filter.all = arguments.has("--all");
    model.take(client.cluster().value, client.nodes().value, client.jobs(filter).value);
  }
  int ended_by = 0;
  {
    FullScreen screen(context.terminal.out_colour);
    TopFeed feed(context, interval, arguments.has("--all"));
    TopScreen drawn(screen, context.terminal.utf8);
    bool running = true;
    while (running) {
      drawn.draw(model, context.now());
      screen.wait(feed.fd(), 1000);
      if (screen.ended_by() != 0) break;
      TopNews news = feed.take();
      if (news.cluster)
        model.take(std::move(news.cluster->cluster), std::move(news.cluster->nodes), std::move(news.cluster->jobs));
      if (news.page) model.take_page(std::move(*news.page), model.page() == TopPage::logs);
      if (news.message) model.say(*news.message);
      model.set_away(news.away);
      while (const auto key = screen.key()) {
        const TopAction action = model.press(*key, drawn.room());
        if (action.kind == TopAction::Kind::quit) running = false;
        obey(action, feed, screen.columns());
      }
    }
    ended_by = screen.ended_by();
  }
  return ended_by == 0 ? exit_code::ok : 128 + ended_by;
}

}  // namespace

Verb top_verb() {
  return {.path = "top",
          .summary = "watch the cluster on the whole screen: GPUs, queue, jobs",
          .options = {{"--interval", "LENGTH", "How often to look again (default 1s)"},
                      {"--all", "", "Ended jobs too", "-a"}},
          .details =
              "The wall shows every GPU with the letter of its job and how busy it is; the list shows jobs, yours "
              "first. Keys: arrows, enter "
              "(details), l (output), c (cancel), / (filter), s (order), ? (help), q.\n"
              "It works over ssh and on any terminal that the system knows (TERM); NO_COLOR and --color never turn "
              "colours off.",
          .run = top};
}

}  // namespace ultramarine::cli

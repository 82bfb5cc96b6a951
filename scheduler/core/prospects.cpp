// See prospects.h.
#include "scheduler/core/prospects.h"

#include <algorithm>

namespace ultramarine::core {

Prospects::Prospects(const std::vector<Candidate>& queued, const std::vector<Kind>& kinds)
    : queued_(queued), kinds_(kinds), shortest_(kinds.size(), unbounded), shortest_behind_(queued.size()) {
  for (std::size_t place = queued.size(); place-- > 0;) {
    const Candidate& waits = queued[place];
    shortest_behind_[place] = shortest_[waits.kind];
    shortest_[waits.kind] = std::min(shortest_[waits.kind], waits.stay);
  }
}

bool Prospects::are_left(std::size_t next, const Timeline& timeline, Time now, bool has_less) {
  if (next > 0) {
    const std::size_t kind = queued_[next - 1].kind;
    shortest_[kind] = shortest_behind_[next - 1];
    if (!has_less && kind != hopeful_) return true;
  }
  if (may_start(hopeful_, timeline, now)) return true;
  for (hopeful_ = 0; hopeful_ < shortest_.size(); ++hopeful_)
    if (may_start(hopeful_, timeline, now)) return true;
  return false;
}

bool Prospects::may_start(std::size_t kind, const Timeline& timeline, Time now) const {
  if (kind == 0 || kind >= shortest_.size() || shortest_[kind] == unbounded) return false;
  const Kind& asked = kinds_[kind];
  return timeline.has_devices(asked.shape, asked.view->nodes, now, shortest_[kind]);
}

}  // namespace ultramarine::core

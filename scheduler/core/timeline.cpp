// See timeline.h.
#include "scheduler/core/timeline.h"

#include <algorithm>

#include "scheduler/core/ensure.h"

namespace ultramarine::core {
namespace {

constexpr Time beginning{std::numeric_limits<std::int64_t>::min()};

/// Of gaps, the first that ends at or after `time`.
template <class Gaps>
auto first_to(Gaps& gaps, Time time) {
  return std::lower_bound(gaps.begin(), gaps.end(), time, [](const auto& gap, Time end) { return gap.end < end; });
}

}  // namespace

std::int64_t gpus_of(const Fit& fit) {
  std::int64_t gpus = 0;
  for (const Fit::OnNode& on_node : fit.nodes) gpus += static_cast<std::int64_t>(on_node.devices.size());
  return gpus;
}

Timeline::Timeline(const std::vector<TimelineNode>& nodes, Time now) : nodes_(nodes.size()), now_(now) {
  for (std::size_t index = 0; index < nodes.size(); ++index) {
    Node& node = nodes_[index];
    node.size = nodes[index];
    node.devices.resize(static_cast<std::size_t>(std::max<std::int64_t>(node.size.devices, 0)));
    for (Device& device : node.devices) device.gaps.push_back({beginning, forever, {}});
    node.steps.push_back({beginning});
    node.bounds.resize(node.devices.size() + 1);
    if (node.size.leaf != nodes.front().leaf) is_one_leaf_ = false;
  }
}

void Timeline::hold(std::size_t node, std::int64_t device_index, const Stay& stay, std::size_t ahead_of) {
  Stay from_ever = stay;
  from_ever.start = beginning;
  add(node, device_index, from_ever);
  Device& device = nodes_[node].devices[static_cast<std::size_t>(device_index)];
  device.held_until = stay.end;
  device.ahead_of = ahead_of;
}

bool Timeline::has_conditions(std::size_t index, const PlaceRequest& request) const {
  const Needs& needs = request.needs;
  const TimelineNode& size = nodes_[index].size;
  return needs.exclusive || (needs.cpus_per_gpu > 0 && size.cpus > 0) || (needs.memory_per_gpu_bytes > 0 && size.memory_bytes > 0) ||
         (request.closed && !(*request.closed)[index].empty());
}

Time Timeline::after_shortage(const Node& node, const PlaceRequest& request, std::int64_t count, Time start) {
  const std::int64_t cpus = node.size.cpus > 0 ? count * request.needs.cpus_per_gpu : 0;
  const std::int64_t memory_bytes = node.size.memory_bytes > 0 ? count * request.needs.memory_per_gpu_bytes : 0;
  if (cpus == 0 && memory_bytes == 0) return start;
  const auto is_short = [&](const Step& step) {
    return (cpus > 0 && step.cpus + cpus > node.size.cpus) || (memory_bytes > 0 && step.memory_bytes + memory_bytes > node.size.memory_bytes);
  };
  auto step = std::upper_bound(node.steps.begin(), node.steps.end(), start, [](Time time, const Step& s) { return time < s.at; });
  --step;  // the first step is at the beginning
  while (step != node.steps.end() && step->at < start + request.length && !is_short(*step)) ++step;
  if (step == node.steps.end() || step->at >= start + request.length) return start;
  while (step != node.steps.end() && is_short(*step)) ++step;
  return step == node.steps.end() ? forever : step->at;  // forever: more than the whole node has
}

Time Timeline::after_closure(std::size_t index, const PlaceRequest& request, Time start) {
  if (!request.closed) return start;
  const std::vector<Interval>& closed = (*request.closed)[index];
  const auto first = std::upper_bound(closed.begin(), closed.end(), start, [](Time time, const Interval& interval) { return time < interval.end; });
  return first == closed.end() || first->start >= start + request.length ? start : first->end;
}

const Timeline::Gap* Timeline::first_gap_to(const Device& device, Time time) {
  return &*first_to(device.gaps, time);
}

Time Timeline::devices_ready(const Node& node, std::int64_t count, Time from, Duration length) {
  if (count <= 0) return from;
  if (static_cast<std::size_t>(count) > node.devices.size()) return forever;
  gaps_.clear();
  soonest_.clear();
  for (const Device& device : node.devices) {
    gaps_.push_back(first_gap_to(device, from + length));
    soonest_.push_back(beginning);
  }
  while (true) {
    std::int64_t missing = count;
    for (std::size_t device = 0; device < gaps_.size(); ++device) {
      if (soonest_[device] < from) {
        auto& gap = gaps_[device];
        while (gap->end - length < std::max(gap->start, from)) ++gap;  // the last gap holds everything
        soonest_[device] = std::max(gap->start, from);
      }
      if (soonest_[device] == from && --missing == 0) return from;
    }
    sorted_ = soonest_;
    const auto last_needed = sorted_.begin() + static_cast<std::ptrdiff_t>(count - 1);
    std::nth_element(sorted_.begin(), last_needed, sorted_.end());
    from = *last_needed;  // no earlier: but who was free before may not be then
  }
}

Time Timeline::ready_under_conditions(std::size_t index, const PlaceRequest& request, std::int64_t count, Time from) {
  const Node& node = nodes_[index];
  if (count > node.size.devices) return forever;
  const std::int64_t taken = request.needs.exclusive ? node.size.devices : count;
  Time start = from;
  while (true) {
    Time next = devices_ready(node, taken, start, request.length);
    if (next < forever) next = after_shortage(node, request, count, next);
    if (next < forever) next = after_closure(index, request, next);
    if (next == start || next == forever) return next;
    start = next;
  }
}

Time Timeline::ready(std::size_t index, const PlaceRequest& request, std::int64_t count, Time from) {
  if (has_conditions(index, request)) return ready_under_conditions(index, request, count, from);
  Node& node = nodes_[index];
  if (static_cast<std::size_t>(count) > node.devices.size()) return forever;
  LengthBounds& bounds = node.bounds[static_cast<std::size_t>(count)];
  const Time known = bounds.not_before(request.length, now_);
  // When one node is enough, a bound of the whole request is one of each node. Else what is known of this one goes on from where it ends.
  const bool is_enough = request.shape.parts + (request.shape.remainder > 0 ? 1 : 0) == 1;
  const Time at = is_enough ? std::max(known, from) : known;
  const Time first = devices_ready(node, count, at, request.length);
  if (first > known && (!is_enough || request.is_bound || at == known)) bounds.learn(request.length, first);
  return first >= from ? first : devices_ready(node, count, from, request.length);
}

void Timeline::start_side(Side& side, const PlaceRequest& request, std::int64_t count, std::size_t needed) {
  side.count = count;
  side.needed = needed;
  side.is_exact.assign(request.nodes.size(), 0);
  side.soonest.clear();
  if (needed == 0) return;
  for (const std::size_t index : request.nodes) {
    const Node& node = nodes_[index];
    const bool is_small = static_cast<std::size_t>(count) > node.devices.size();
    side.soonest.push_back(is_small ? forever : node.bounds[static_cast<std::size_t>(count)].not_before(request.length, request.from));
  }
}

Time Timeline::next_start(Side& side, const PlaceRequest& request, Time start) {
  if (side.needed == 0) return start;
  for (std::size_t place = 0; place < side.soonest.size(); ++place) {
    if (side.soonest[place] >= start) continue;
    side.soonest[place] = start;
    side.is_exact[place] = 0;
  }
  while (true) {
    // `needed` nodes must be ready, so the needed-th soonest is a bound; it is as good as what it rests on.
    sorted_ = side.soonest;
    const auto last_needed = sorted_.begin() + static_cast<std::ptrdiff_t>(side.needed - 1);
    std::nth_element(sorted_.begin(), last_needed, sorted_.end());
    const Time bound = *last_needed;
    if (bound == forever) return forever;
    bool is_settled = true;
    for (std::size_t place = 0; place < side.soonest.size(); ++place) {
      if (side.is_exact[place] || side.soonest[place] > bound) continue;
      const Time soonest = ready(request.nodes[place], request, side.count, side.soonest[place]);
      is_settled = is_settled && soonest <= bound;
      side.soonest[place] = soonest;
      side.is_exact[place] = 1;
    }
    if (is_settled) return bound;
  }
}

std::optional<Fit> Timeline::earliest_fit(const PlaceRequest& request, const policy::Placement& placement) {
  const Shape& shape = request.shape;
  const auto parts = static_cast<std::size_t>(shape.parts);
  if (request.nodes.size() < parts + (shape.remainder > 0 ? 1 : 0)) return std::nullopt;
  start_side(parts_, request, shape.devices_per_part, parts);
  start_side(remainder_, request, shape.remainder, shape.remainder > 0 ? parts + 1 : 0);
  Time start = request.from;
  while (true) {
    const Time next = std::max(next_start(parts_, request, start), next_start(remainder_, request, start));
    if (next == forever) return std::nullopt;
    if (next == start) return place(request, start, placement);
    start = next;
  }
}

bool Timeline::is_free(const Device& device, Time start, Duration length) {
  return first_gap_to(device, start + length)->start <= start;
}

std::int64_t Timeline::usable(std::size_t index, const PlaceRequest& request, std::int64_t free, Time start) const {
  const Node& node = nodes_[index];
  if (after_closure(index, request, start) != start) return 0;
  if (request.needs.exclusive && free < node.size.devices) return 0;
  // What is asked for grows with the number of devices.
  while (free > 0 && after_shortage(node, request, free, start) != start) --free;
  return free;
}

bool Timeline::has_devices(const Shape& shape, const std::vector<std::size_t>& nodes, Time start, Duration length) const {
  std::int64_t for_a_part = 0, for_the_remainder = 0;
  for (const std::size_t index : nodes) {
    std::int64_t free = 0;
    for (const Device& device : nodes_[index].devices) free += is_free(device, start, length) ? 1 : 0;
    for_a_part += free >= shape.devices_per_part ? 1 : 0;
    for_the_remainder += free >= shape.remainder ? 1 : 0;
  }
  return for_a_part >= shape.parts && (shape.remainder == 0 || for_the_remainder >= shape.parts + 1);
}

Duration Timeline::longest_from_now() const {
  Duration longest{};
  for (const Node& node : nodes_)
    for (const Device& device : node.devices)
      if (const Gap* const gap = first_gap_to(device, now_ + milliseconds(1)); gap->start <= now_)
        longest = std::max(longest, gap->end == forever ? unbounded : gap->end - now_);
  return longest;
}

bool Timeline::free_but_for_who_is_behind(const Device& device, Time start, Duration length, std::size_t position) {
  if (device.ahead_of <= position || device.held_until <= start) return false;
  const Gap& first = device.gaps.front();  // gaps come after who holds the device now
  return start + length <= (first.start == device.held_until ? first.end : device.held_until);
}

std::vector<policy::Offer> Timeline::offers(const PlaceRequest& request, Time start) const {
  const Duration length = request.length;
  std::vector<policy::Offer> offers;
  for (std::size_t at = 0; at < request.nodes.size(); ++at) {
    // Who is not ready offers too little; it only tells how full its leaf is.
    const bool may_be_ready = (parts_.needed > 0 && parts_.soonest[at] <= start) || (remainder_.needed > 0 && remainder_.soonest[at] <= start);
    if (is_one_leaf_ && !may_be_ready) continue;
    const std::size_t index = request.nodes[at];
    const Node& node = nodes_[index];
    policy::Offer& offer = offers.emplace_back();
    offer.node = index;
    offer.leaf = node.size.leaf;
    for (const Device& device : node.devices) {
      if (is_free(device, start, length))
        ++offer.devices, ++offer.left_by_jobs_ahead;
      else if (free_but_for_who_is_behind(device, start, length, request.position))
        ++offer.left_by_jobs_ahead;
    }
    if (has_conditions(index, request)) offer.devices = usable(index, request, offer.devices, start);
  }
  return offers;
}

bool Timeline::is_certain(const PlaceRequest& request, const Fit& fit, const policy::Placement& placement) const {
  const Time end = fit.start + request.length;
  std::vector<policy::Offer> least = offers(request, fit.start);
  const auto is_in_fit = [&](std::size_t node) {
    return std::any_of(fit.nodes.begin(), fit.nodes.end(), [&](const Fit::OnNode& on_node) { return on_node.node == node; });
  };
  bool is_known = true;
  for (policy::Offer& offer : least) {
    std::int64_t unknown = 0;
    for (const Device& device : nodes_[offer.node].devices)
      unknown += device.held_until < end && free_but_for_who_is_behind(device, fit.start, request.length, request.position) ? 1 : 0;
    is_known = is_known && unknown == 0;
    if (!is_in_fit(offer.node)) offer.left_by_jobs_ahead -= unknown;
  }
  if (is_known) return true;
  if (fit.nodes.size() != 1 || (request.shape.parts > 0 && !is_one_leaf_)) return false;
  // One node is chosen of all. With less left there it would be chosen all the more; so it is the one if it is so with least left at the others.
  const std::vector<policy::NodeShare> chosen = placement.place(request.shape, least);
  return chosen.size() == 1 && chosen.front().node == fit.nodes.front().node;
}

Fit Timeline::place(const PlaceRequest& request, Time start, const policy::Placement& placement) const {
  const Duration length = request.length;
  Fit fit{start, {}};
  for (const policy::NodeShare& share : placement.place(request.shape, offers(request, start))) {
    Fit::OnNode& on_node = fit.nodes.emplace_back();
    on_node.node = share.node;
    const Node& node = nodes_[share.node];
    const std::int64_t taken = request.needs.exclusive ? node.size.devices : share.devices;
    on_node.devices.reserve(static_cast<std::size_t>(taken));
    for (std::size_t device = 0; device < node.devices.size() && static_cast<std::int64_t>(on_node.devices.size()) < taken; ++device)
      if (is_free(node.devices[device], start, length)) on_node.devices.push_back(static_cast<std::int64_t>(device));
  }
  return fit;
}

void Timeline::take_beside(Node& node, const Stay& stay) {
  const auto step_at = [&](Time at) {
    auto step = std::lower_bound(node.steps.begin(), node.steps.end(), at, [](const Step& s, Time time) { return s.at < time; });
    if (step == node.steps.end() || step->at != at) {
      Step as_before = *std::prev(step);
      as_before.at = at;
      step = node.steps.insert(step, as_before);
    }
    return step - node.steps.begin();
  };
  const auto first = step_at(stay.start), last = step_at(stay.end);
  for (auto step = node.steps.begin() + first; step != node.steps.begin() + last; ++step) {
    step->cpus += stay.cpus;
    step->memory_bytes += stay.memory_bytes;
  }
}

std::optional<std::pair<Time, JobId>> Timeline::add(std::size_t node, std::int64_t device_index, const Stay& stay) {
  Device& device = nodes_[node].devices[static_cast<std::size_t>(device_index)];
  const auto gap = first_to(device.gaps, stay.end);
  ensure(gap != device.gaps.end() && gap->start <= stay.start && stay.start < stay.end && stay.end <= gap->end,
         "a device is given only while it is free");
  if (gap->start <= now_ && now_ < gap->end) has_less_now_ = true;
  if (stay.cpus > 0 || stay.memory_bytes > 0) take_beside(nodes_[node], stay);
  const Gap before{gap->start, stay.start, gap->after}, after{stay.end, gap->end, stay.job};
  if (before.start < before.end && after.start < after.end) {
    *gap = after;
    device.gaps.insert(gap, before);
  } else if (before.start < before.end) {
    *gap = before;
  } else if (after.start < after.end) {
    *gap = after;
  } else {
    device.gaps.erase(gap);
  }
  if (before.after.value == 0) return std::nullopt;
  return std::pair{before.start, before.after};
}

void Timeline::keep_clear(std::size_t node, std::int64_t device_index, Time from, Time until) {
  Device& device = nodes_[node].devices[static_cast<std::size_t>(device_index)];
  const auto gap = first_to(device.gaps, until);
  if (from >= until || gap == device.gaps.end() || gap->end != until) return;
  if (gap->start <= now_ && now_ < gap->end) has_less_now_ = true;
  if (gap->start < from) gap->end = from;
  else device.gaps.erase(gap);
}

Time LengthBounds::not_before(Duration length, Time otherwise) const {
  const auto longer = std::upper_bound(bounds_.begin(), bounds_.end(), length, [](Duration asked, const auto& bound) { return asked < bound.first; });
  return longer == bounds_.begin() ? otherwise : std::max(otherwise, std::prev(longer)->second);
}

void LengthBounds::learn(Duration length, Time start) {
  const auto next = std::lower_bound(bounds_.begin(), bounds_.end(), length, [](const auto& bound, Duration asked) { return bound.first < asked; });
  if (next != bounds_.begin() && std::prev(next)->second >= start) return;  // a shorter stay already says as much
  const auto last = std::find_if(next, bounds_.end(), [&](const auto& bound) { return bound.second > start; });
  if (last != bounds_.end() && last == next && last->first == length) return;
  bounds_.insert(bounds_.erase(next, last), {length, start});
}

Time KnownBounds::not_before(const Shape& shape, Duration length, Time otherwise) const {
  const auto bounds = bounds_.find(shape);
  return bounds == bounds_.end() ? otherwise : bounds->second.not_before(length, otherwise);
}

}  // namespace ultramarine::core

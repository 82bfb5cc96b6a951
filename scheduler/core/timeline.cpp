// See timeline.h.
#include "scheduler/core/timeline.h"

#include <algorithm>

#include "scheduler/core/ensure.h"

namespace ultramarine::core {
namespace {

constexpr Time beginning{std::numeric_limits<std::int64_t>::min()};

}  // namespace

Timeline::Timeline(const std::vector<TimelineNode>& nodes) : nodes_(nodes.size()) {
  for (std::size_t index = 0; index < nodes.size(); ++index) {
    Node& node = nodes_[index];
    node.size = nodes[index];
    node.devices.resize(static_cast<std::size_t>(std::max<std::int64_t>(node.size.devices, 0)));
    for (Device& device : node.devices) device.gaps.push_back({beginning, forever});
    node.steps.push_back({beginning});
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

void Timeline::seek(Device& device, Time from, Duration length) {
  while (true) {
    const Gap& gap = device.gaps[device.gap];  // the last gap holds everything, so this ends
    const Time start = std::max(gap.start, from);
    if (gap.end - length >= start) {
      device.soonest = start;
      return;
    }
    ++device.gap;
  }
}

void Timeline::summarize(Node& node, const Shape& shape) {
  sorted_.clear();
  for (const Device& device : node.devices) sorted_.push_back(device.soonest);
  std::sort(sorted_.begin(), sorted_.end());
  const auto when_free = [&](std::int64_t count) {
    if (count <= 0) return beginning;
    const auto index = static_cast<std::size_t>(count) - 1;
    return index < sorted_.size() ? sorted_[index] : forever;
  };
  node.part_soonest = when_free(shape.devices_per_part);
  node.remainder_soonest = when_free(shape.remainder);
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

Time Timeline::devices_ready(const Node& node, std::int64_t count, Time from, Duration length) {
  if (count <= 0) return from;
  if (static_cast<std::size_t>(count) > node.devices.size()) return forever;
  sorted_.clear();
  for (const Device& device : node.devices) {
    auto gap = std::lower_bound(device.gaps.begin(), device.gaps.end(), from + length, [](const Gap& g, Time time) { return g.end < time; });
    while (gap->end - length < std::max(gap->start, from)) ++gap;  // the last gap holds everything
    sorted_.push_back(std::max(gap->start, from));
  }
  const auto last_needed = sorted_.begin() + static_cast<std::ptrdiff_t>(count - 1);
  std::nth_element(sorted_.begin(), last_needed, sorted_.end());
  return *last_needed;
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

std::optional<Fit> Timeline::earliest_fit(const PlaceRequest& request, const policy::Placement& placement) {
  const Shape& shape = request.shape;
  const Duration length = request.length;
  for (const std::size_t index : request.nodes) {
    Node& node = nodes_[index];
    node.has_conditions = has_conditions(index, request);
    if (node.has_conditions) {
      node.part_soonest = ready_under_conditions(index, request, shape.devices_per_part, request.from);
      node.remainder_soonest = ready_under_conditions(index, request, shape.remainder, request.from);
      continue;
    }
    for (Device& device : node.devices) {
      const auto first = std::lower_bound(device.gaps.begin(), device.gaps.end(), request.from + length,
                                          [](const Gap& gap, Time time) { return gap.end < time; });
      device.gap = static_cast<std::size_t>(first - device.gaps.begin());
      seek(device, request.from, length);
    }
    summarize(node, shape);
  }
  const auto parts = static_cast<std::size_t>(shape.parts);
  if (request.nodes.size() < parts + (shape.remainder > 0 ? 1 : 0)) return std::nullopt;

  Time start = request.from;
  std::vector<Time> soonest;
  // A lower bound of every feasible start: `needed` nodes must be ready, so the needed-th soonest is.
  const auto bound = [&](Time Node::*ready, std::size_t needed) {
    soonest.clear();
    for (const std::size_t index : request.nodes) soonest.push_back(nodes_[index].*ready);
    const auto last_needed = soonest.begin() + static_cast<std::ptrdiff_t>(needed - 1);
    std::nth_element(soonest.begin(), last_needed, soonest.end());
    return *last_needed;
  };
  while (true) {
    Time next = start;
    if (parts > 0) next = std::max(next, bound(&Node::part_soonest, parts));
    if (shape.remainder > 0) next = std::max(next, bound(&Node::remainder_soonest, parts + 1));
    if (next == forever) return std::nullopt;
    if (next == start) return place(request, start, placement);
    start = next;
    for (const std::size_t index : request.nodes) {
      Node& node = nodes_[index];
      if (node.has_conditions) {
        if (node.part_soonest < start) node.part_soonest = ready_under_conditions(index, request, shape.devices_per_part, start);
        if (node.remainder_soonest < start) node.remainder_soonest = ready_under_conditions(index, request, shape.remainder, start);
        continue;
      }
      bool changed = false;
      for (Device& device : node.devices) {
        if (device.soonest >= start) continue;
        seek(device, start, length);
        changed = true;
      }
      if (changed) summarize(node, shape);
    }
  }
}

bool Timeline::is_free(const Device& device, Time start, Duration length) {
  const auto gap = std::lower_bound(device.gaps.begin(), device.gaps.end(), start + length, [](const Gap& g, Time time) { return g.end < time; });
  return gap->start <= start;
}

std::int64_t Timeline::usable(std::size_t index, const PlaceRequest& request, std::int64_t free, Time start) const {
  const Node& node = nodes_[index];
  if (after_closure(index, request, start) != start) return 0;
  if (request.needs.exclusive && free < node.size.devices) return 0;
  // What is asked for grows with the number of devices.
  while (free > 0 && after_shortage(node, request, free, start) != start) --free;
  return free;
}

bool Timeline::free_but_for_who_is_behind(const Device& device, Time start, Duration length, std::size_t position) {
  if (device.ahead_of <= position || device.held_until <= start) return false;
  const Gap& first = device.gaps.front();  // gaps come after who holds the device now
  return start + length <= (first.start == device.held_until ? first.end : device.held_until);
}

Fit Timeline::place(const PlaceRequest& request, Time start, const policy::Placement& placement) const {
  const Duration length = request.length;
  const auto is_offered = [&](const Node& node, const Device& device) {
    return node.has_conditions ? is_free(device, start, length) : device.soonest == start;
  };
  std::vector<policy::Offer> offers;
  offers.reserve(request.nodes.size());
  for (const std::size_t index : request.nodes) {
    const Node& node = nodes_[index];
    policy::Offer& offer = offers.emplace_back();
    offer.node = index;
    offer.leaf = node.size.leaf;
    for (const Device& device : node.devices) {
      if (is_offered(node, device))
        ++offer.devices, ++offer.left_by_jobs_ahead;
      else if (free_but_for_who_is_behind(device, start, length, request.position))
        ++offer.left_by_jobs_ahead;
    }
    if (node.has_conditions) offer.devices = usable(index, request, offer.devices, start);
  }
  Fit fit{start, {}};
  for (const policy::NodeShare& share : placement.place(request.shape, offers)) {
    Fit::OnNode& on_node = fit.nodes.emplace_back();
    on_node.node = share.node;
    const Node& node = nodes_[share.node];
    const std::int64_t taken = request.needs.exclusive ? node.size.devices : share.devices;
    for (std::size_t device = 0; device < node.devices.size() && static_cast<std::int64_t>(on_node.devices.size()) < taken; ++device)
      if (is_offered(node, node.devices[device])) on_node.devices.push_back(static_cast<std::int64_t>(device));
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

std::optional<Stay> Timeline::add(std::size_t node, std::int64_t device_index, const Stay& stay) {
  Device& device = nodes_[node].devices[static_cast<std::size_t>(device_index)];
  const auto gap = std::lower_bound(device.gaps.begin(), device.gaps.end(), stay.end, [](const Gap& g, Time time) { return g.end < time; });
  ensure(gap != device.gaps.end() && gap->start <= stay.start && stay.start < stay.end && stay.end <= gap->end,
         "a device is given only while it is free");
  if (stay.cpus > 0 || stay.memory_bytes > 0) take_beside(nodes_[node], stay);
  const Gap before{gap->start, stay.start}, after{stay.end, gap->end};
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
  const auto position = std::upper_bound(device.stays.begin(), device.stays.end(), stay.start, [](Time time, const Stay& s) { return time < s.start; });
  std::optional<Stay> previous;
  if (position != device.stays.begin()) previous = *std::prev(position);
  device.stays.insert(position, stay);
  return previous;
}

Time KnownBounds::not_before(const Shape& shape, Duration length, Time otherwise) const {
  const auto bounds = bounds_.find(shape);
  if (bounds == bounds_.end()) return otherwise;
  const auto longer = bounds->second.upper_bound(length);
  if (longer == bounds->second.begin()) return otherwise;
  return std::max(otherwise, std::prev(longer)->second);
}

void KnownBounds::learn(const Shape& shape, Duration length, Time start) {
  std::map<Duration, Time>& bounds = bounds_[shape];
  auto next = bounds.lower_bound(length);
  if (next != bounds.begin() && std::prev(next)->second >= start) return;  // a shorter stay already says as much
  while (next != bounds.end() && next->second <= start) next = bounds.erase(next);
  if (next == bounds.end() || next->first != length) bounds.emplace(length, start);
}

}  // namespace ultramarine::core

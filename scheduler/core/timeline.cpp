// See timeline.h.
#include "scheduler/core/timeline.h"

#include <algorithm>

#include "scheduler/core/ensure.h"

namespace ultramarine::core {
namespace {

constexpr Time beginning{std::numeric_limits<std::int64_t>::min()};

}  // namespace

Timeline::Timeline(const std::vector<std::int64_t>& devices) : nodes_(devices.size()) {
  for (std::size_t node = 0; node < devices.size(); ++node) {
    nodes_[node].devices.resize(static_cast<std::size_t>(std::max<std::int64_t>(devices[node], 0)));
    for (Device& device : nodes_[node].devices) device.gaps.push_back({beginning, forever});
  }
}

void Timeline::hold(std::size_t node, std::int64_t device_index, Time end, JobId job, std::size_t ahead_of) {
  add(node, device_index, {beginning, end, job});
  Device& device = nodes_[node].devices[static_cast<std::size_t>(device_index)];
  device.held_until = end;
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

std::optional<Fit> Timeline::earliest_fit(const Shape& shape, Duration length, Time from, std::size_t position,
                                          const std::vector<std::size_t>& nodes, const policy::Placement& placement) {
  for (const std::size_t index : nodes) {
    Node& node = nodes_[index];
    for (Device& device : node.devices) {
      const auto first = std::lower_bound(device.gaps.begin(), device.gaps.end(), from + length,
                                          [](const Gap& gap, Time time) { return gap.end < time; });
      device.gap = static_cast<std::size_t>(first - device.gaps.begin());
      seek(device, from, length);
    }
    summarize(node, shape);
  }
  const auto parts = static_cast<std::size_t>(shape.parts);
  if (nodes.size() < parts + (shape.remainder > 0 ? 1 : 0)) return std::nullopt;

  Time start = from;
  std::vector<Time> soonest;
  // A lower bound of every feasible start: `needed` nodes must be ready, so the needed-th soonest is.
  const auto bound = [&](Time Node::*ready, std::size_t needed) {
    soonest.clear();
    for (const std::size_t index : nodes) soonest.push_back(nodes_[index].*ready);
    const auto last_needed = soonest.begin() + static_cast<std::ptrdiff_t>(needed - 1);
    std::nth_element(soonest.begin(), last_needed, soonest.end());
    return *last_needed;
  };
  while (true) {
    Time next = start;
    if (parts > 0) next = std::max(next, bound(&Node::part_soonest, parts));
    if (shape.remainder > 0) next = std::max(next, bound(&Node::remainder_soonest, parts + 1));
    if (next == forever) return std::nullopt;
    if (next == start) return place(shape, start, length, position, nodes, placement);
    start = next;
    for (const std::size_t index : nodes) {
      Node& node = nodes_[index];
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

bool Timeline::free_but_for_who_is_behind(const Device& device, Time start, Duration length, std::size_t position) {
  if (device.ahead_of <= position || device.held_until <= start) return false;
  const Gap& first = device.gaps.front();  // gaps come after who holds the device now
  return start + length <= (first.start == device.held_until ? first.end : device.held_until);
}

Fit Timeline::place(const Shape& shape, Time start, Duration length, std::size_t position, const std::vector<std::size_t>& nodes,
                    const policy::Placement& placement) const {
  std::vector<policy::Offer> offers;
  offers.reserve(nodes.size());
  for (const std::size_t index : nodes) {
    policy::Offer& offer = offers.emplace_back();
    offer.node = index;
    for (const Device& device : nodes_[index].devices) {
      if (device.soonest == start)
        ++offer.devices, ++offer.left_by_jobs_ahead;
      else if (free_but_for_who_is_behind(device, start, length, position))
        ++offer.left_by_jobs_ahead;
    }
  }
  Fit fit{start, {}};
  for (const policy::NodeShare& share : placement.place(shape, offers)) {
    Fit::OnNode& on_node = fit.nodes.emplace_back();
    on_node.node = share.node;
    const auto& devices = nodes_[share.node].devices;
    for (std::size_t device = 0; device < devices.size() && static_cast<std::int64_t>(on_node.devices.size()) < share.devices; ++device)
      if (devices[device].soonest == start) on_node.devices.push_back(static_cast<std::int64_t>(device));
  }
  return fit;
}

std::optional<Stay> Timeline::add(std::size_t node, std::int64_t device_index, const Stay& stay) {
  Device& device = nodes_[node].devices[static_cast<std::size_t>(device_index)];
  const auto gap = std::lower_bound(device.gaps.begin(), device.gaps.end(), stay.end, [](const Gap& g, Time time) { return g.end < time; });
  ensure(gap != device.gaps.end() && gap->start <= stay.start && stay.start < stay.end && stay.end <= gap->end,
         "a device is given only while it is free");
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

// Where. `best_fit`: whole parts choose first, from as few leaf switches as can be; then the smaller part. Each goes to the node that has the
// fewest devices to spare, ties by node order, so that whole nodes and whole leaves stay whole for as long as possible.
// To spare is what the jobs ahead left: a device held by a job behind can't be had, but counts, see Placement::place.
// `pack`: the rule of comparison runs: empty nodes in node order for the whole parts, the fullest node that still has room for the rest, by
// what is free.
#include <algorithm>
#include <map>
#include <tuple>

#include "scheduler/core/ensure.h"
#include "scheduler/core/policy/policies.h"

namespace ultramarine::core::policy {
namespace {

using Offers = std::vector<const Offer*>;

std::vector<NodeShare> in_node_order(std::vector<NodeShare> shares) {
  std::sort(shares.begin(), shares.end(), [](const NodeShare& a, const NodeShare& b) { return a.node < b.node; });
  return shares;
}

bool was_chosen(const std::vector<NodeShare>& chosen, const Offer& offer) {
  return std::any_of(chosen.begin(), chosen.end(), [&](const NodeShare& share) { return share.node == offer.node; });
}

class BestFit : public Placement {
 public:
  std::vector<NodeShare> place(const Shape& shape, const std::vector<Offer>& offers) const override {
    std::vector<NodeShare> chosen;
    chosen.reserve(static_cast<std::size_t>(shape.parts) + 1);
    if (shape.parts > 0) place_parts(shape, offers, chosen);
    if (shape.remainder > 0) {
      const Offer* tightest = nullptr;
      for (const Offer& offer : offers) {
        if (offer.devices < shape.remainder || (tightest && tightest->left_by_jobs_ahead <= offer.left_by_jobs_ahead)) continue;
        if (!was_chosen(chosen, offer)) tightest = &offer;
      }
      ensure(tightest != nullptr, "a shape is placed only where it fits");
      chosen.push_back({tightest->node, shape.remainder});
    }
    return in_node_order(std::move(chosen));
  }

 private:
  /// The nodes of one leaf that have room for a part, tightest first.
  struct Leaf {
    Offers rooms;
    std::int64_t left = 0;  // over all of its nodes
  };

  static void place_parts(const Shape& shape, const std::vector<Offer>& offers, std::vector<NodeShare>& chosen) {
    std::vector<Leaf> leaves = leaves_of(shape, offers);
    auto needed = static_cast<std::size_t>(shape.parts);
    while (needed > 0) {
      // A leaf that holds all that is left: the fullest. Else the one that holds most, which is used up.
      const auto rank = [&](const Leaf& leaf) {
        const bool holds_all = leaf.rooms.size() >= needed;
        return std::tuple{!holds_all, holds_all ? 0 : -static_cast<std::int64_t>(leaf.rooms.size()), leaf.left};
      };
      const auto best = std::min_element(leaves.begin(), leaves.end(), [&](const Leaf& a, const Leaf& b) { return rank(a) < rank(b); });
      ensure(best != leaves.end() && !best->rooms.empty(), "a shape is placed only where it fits");
      const std::size_t count = std::min(needed, best->rooms.size());
      for (std::size_t room = 0; room < count; ++room) chosen.push_back({best->rooms[room]->node, shape.devices_per_part});
      needed -= count;
      leaves.erase(best);
    }
  }

  /// In the order of their first nodes.
  static std::vector<Leaf> leaves_of(const Shape& shape, const std::vector<Offer>& offers) {
    std::vector<Leaf> leaves;
    std::map<std::size_t, std::size_t> place_of;
    for (const Offer& offer : offers) {
      const auto [place, is_new] = place_of.try_emplace(offer.leaf, leaves.size());
      if (is_new) leaves.emplace_back();
      Leaf& leaf = leaves[place->second];
      leaf.left += offer.left_by_jobs_ahead;
      if (offer.devices >= shape.devices_per_part) leaf.rooms.push_back(&offer);
    }
    for (Leaf& leaf : leaves)
      std::stable_sort(leaf.rooms.begin(), leaf.rooms.end(),
                       [](const Offer* a, const Offer* b) { return a->left_by_jobs_ahead < b->left_by_jobs_ahead; });
    return leaves;
  }
};

class Pack : public Placement {
 public:
  std::vector<NodeShare> place(const Shape& shape, const std::vector<Offer>& offers) const override {
    std::vector<NodeShare> chosen;
    chosen.reserve(static_cast<std::size_t>(shape.parts) + 1);
    for (const Offer& offer : offers) {
      if (static_cast<std::int64_t>(chosen.size()) == shape.parts) break;
      if (offer.devices >= shape.devices_per_part) chosen.push_back({offer.node, shape.devices_per_part});
    }
    if (shape.remainder > 0) {
      const Offer* fullest = nullptr;
      for (const Offer& offer : offers)
        if (offer.devices >= shape.remainder && (!fullest || offer.devices < fullest->devices) && !was_chosen(chosen, offer)) fullest = &offer;
      ensure(fullest != nullptr, "a shape is placed only where it fits");
      chosen.push_back({fullest->node, shape.remainder});
    }
    return in_node_order(std::move(chosen));
  }
};

}  // namespace

std::unique_ptr<Placement> best_fit(const Context&) { return std::make_unique<BestFit>(); }
std::unique_ptr<Placement> pack(const Context&) { return std::make_unique<Pack>(); }

}  // namespace ultramarine::core::policy

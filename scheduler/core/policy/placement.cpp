// Where. `best_fit`: each part goes to the node that has the fewest devices to spare for it, ties by node order, so that whole
// nodes stay whole for as long as possible. The smaller part chooses first: it is the one that can use a broken node.
// To spare is what the jobs ahead left: a device held by a job behind can't be had, but counts, see Placement::place.
#include <algorithm>
#include <limits>

#include "scheduler/core/ensure.h"
#include "scheduler/core/policy/policies.h"

namespace ultramarine::core::policy {
namespace {

class BestFit : public Placement {
 public:
  std::vector<NodeShare> place(const Shape& shape, const std::vector<Offer>& offers) const override {
    std::vector<Offer> tightest_first = offers;
    std::stable_sort(tightest_first.begin(), tightest_first.end(),
                     [](const Offer& a, const Offer& b) { return a.left_by_jobs_ahead < b.left_by_jobs_ahead; });
    std::vector<NodeShare> chosen;
    chosen.reserve(static_cast<std::size_t>(shape.parts) + 1);
    const auto take = [&](std::int64_t devices, std::int64_t fewer_than) {
      const auto offer = std::find_if(tightest_first.begin(), tightest_first.end(), [&](const Offer& candidate) {
        return candidate.devices >= devices && candidate.devices < fewer_than;
      });
      ensure(offer != tightest_first.end(), "a shape is placed only where it fits");
      chosen.push_back({offer->node, devices});
      tightest_first.erase(offer);
    };
    constexpr std::int64_t any = std::numeric_limits<std::int64_t>::max();
    if (shape.remainder > 0) {
      const auto for_parts = std::count_if(offers.begin(), offers.end(), [&](const Offer& offer) { return offer.devices >= shape.devices_per_part; });
      take(shape.remainder, for_parts > shape.parts ? any : shape.devices_per_part);  // it leaves the others what they need
    }
    for (std::int64_t part = 0; part < shape.parts; ++part) take(shape.devices_per_part, any);
    std::sort(chosen.begin(), chosen.end(), [](const NodeShare& a, const NodeShare& b) { return a.node < b.node; });
    return chosen;
  }
};

}  // namespace

std::unique_ptr<Placement> best_fit(const Context&) { return std::make_unique<BestFit>(); }

}  // namespace ultramarine::core::policy

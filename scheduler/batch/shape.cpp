#include "scheduler/batch/shape.h"

namespace ultramarine::batch {
namespace {

constexpr std::int64_t gpus_max = 1'000'000;

std::string number(std::int64_t value) { return std::to_string(value); }
std::string counted(std::int64_t count, const std::string& noun) { return number(count) + " " + noun + (count == 1 ? "" : "s"); }

class Shaper {
 public:
  explicit Shaper(const Sizes& sizes) : sizes_(sizes) {}

  Shape shape() {
    no_zeros();
    take_tasks();
    take_gpus();
    take_resources();
    take_ranks();
    return std::move(shape_);
  }

 private:
  void no_zeros() const {
    for (const auto& gpus : {sizes_.gpus, sizes_.gpus_per_node, sizes_.gpus_per_task}) {
      if (gpus && gpus->count == 0)
        throw Problem(gpus->where, "no GPU asked for, and this cluster hands out GPUs only", "ask for at least 1");
    }
  }

  void take_tasks() {
    if (sizes_.nodes) nodes_ = sizes_.nodes->count;
    if (sizes_.hosts) take_hosts();
    if (sizes_.tasks) tasks_ = sizes_.tasks->count;
    if (nodes_ && tasks_ && *tasks_ < *nodes_) {
      shape_.warnings.push_back((sizes_.hosts ? sizes_.hosts : sizes_.nodes)->where + ": " + counted(*tasks_, "rank") + " can't run on " + counted(*nodes_, "node") +
                                ", so " + number(*tasks_) + " will do");
      nodes_ = tasks_;
    }
    if (!sizes_.tasks_per_node) return;
    const std::int64_t per_node = sizes_.tasks_per_node->count;
    if (!tasks_) {
      if (nodes_) tasks_ = per_node * *nodes_;
    } else if (!nodes_) {
      nodes_ = (*tasks_ + per_node - 1) / per_node;
    } else if (*tasks_ > per_node * *nodes_) {
      throw Problem(sizes_.tasks->where,
                    counted(*tasks_, "rank") + " asked, but " + number(per_node) + " on each of " + counted(*nodes_, "node") +
                        " are at most " + number(per_node * *nodes_),
                    "ask for more nodes or for more ranks per node");
    }
  }

  void take_hosts() {
    const auto& [count, where] = *sizes_.hosts;
    if (sizes_.nodes && sizes_.nodes->count > count)
      throw Problem(where, counted(count, "node") + " named, but " + sizes_.nodes->where + " asks for " + number(sizes_.nodes->count),
                    "name as many, or leave out one of the two");
    if (sizes_.nodes && sizes_.nodes->count < count) shape_.warnings.push_back(where + ": all of the named nodes are asked for, " + number(count));
    nodes_ = count;
  }

  void take_gpus() {
    if (sizes_.gpus) gpus_ = sizes_.gpus->count;
    if (sizes_.gpus_per_task) per_task();
    if (sizes_.gpus_per_node && gpus_ && !nodes_) {
      const std::int64_t per_node = sizes_.gpus_per_node->count;
      if (*gpus_ % per_node != 0)
        throw Problem(total_where(), counted(*gpus_, "GPU") + " are no whole nodes of " + number(per_node),
                      "ask for a multiple of " + number(per_node));
      nodes_ = *gpus_ / per_node;
    }
  }

  /// Tasks that aren't said follow from the total; the total follows from the tasks.
  void per_task() {
    const Asked& per = *sizes_.gpus_per_task;
    if (!tasks_ && sizes_.gpus) {
      if (*gpus_ % per.count != 0)
        throw Problem(per.where, counted(*gpus_, "GPU") + " can't be shared out as " + number(per.count) + " per rank",
                      "ask for a multiple of " + number(per.count));
      tasks_ = *gpus_ / per.count;
      ranks_from_gpus_ = true;
    }
    if (!tasks_) {
      tasks_ = sizes_.tasks_per_node ? sizes_.tasks_per_node->count : nodes_.value_or(1);
      if (sizes_.tasks_per_node && !nodes_) nodes_ = 1;
      ranks_from_gpus_ = true;
    }
    const std::int64_t total = *tasks_ * per.count;
    if (sizes_.gpus && *gpus_ != total)
      throw Problem(per.where,
                    counted(*tasks_, "rank") + " with " + number(per.count) + " each are " + counted(total, "GPU") + ", but " +
                        sizes_.gpus->where + " says " + number(*gpus_),
                    "leave out one of the two");
    if (total > gpus_max) throw Problem(per.where, counted(total, "GPU") + " is absurd", "ask for at most " + number(gpus_max));
    gpus_ = total;
    if (per.count > 1)
      shape_.warnings.push_back(per.where + ": each rank will see all GPUs of the job on its node, not " + number(per.count) +
                                " of its own");
  }

  std::string total_where() const { return sizes_.gpus ? sizes_.gpus->where : sizes_.gpus_per_task->where; }

  void take_resources() {
    Resources& resources = shape_.resources;
    if (!gpus_ && sizes_.gpus_per_node) {
      resources = {0, nodes_.value_or(1), sizes_.gpus_per_node->count};
    } else if (!gpus_) {
      shape_.gpus_by_default = true;
      if (sizes_.exclusive || sizes_.nodes || sizes_.hosts)
        resources = {0, nodes_.value_or(1), 1};
      else
        resources = nodes_ && *nodes_ > 1 ? Resources{0, *nodes_, 1} : Resources{1, 0, 0};
    } else if (!nodes_) {
      resources = {*gpus_, 0, 0};
    } else {
      total_on_nodes();
    }
  }

  void total_on_nodes() {
    if (sizes_.gpus_per_node && sizes_.gpus_per_node->count * *nodes_ != *gpus_)
      throw Problem(total_where(),
                    counted(*gpus_, "GPU") + " asked, but " + sizes_.gpus_per_node->where + " says " + number(sizes_.gpus_per_node->count) +
                        " on each of " + counted(*nodes_, "node"),
                    "leave out one of the two");
    if (*gpus_ < *nodes_)
      throw Problem(total_where(), counted(*gpus_, "GPU") + " can't be on " + counted(*nodes_, "node"), "ask for fewer nodes or more GPUs");
    if (*gpus_ % *nodes_ == 0) {
      shape_.resources = {0, *nodes_, *gpus_ / *nodes_};
      return;
    }
    shape_.warnings.push_back(total_where() + ": " + counted(*gpus_, "GPU") + " don't divide by " + counted(*nodes_, "node") +
                              ", so the scheduler chooses the nodes");
    shape_.resources = {*gpus_, 0, 0};
  }

  void take_ranks() {
    if (sizes_.tasks_per_gpu) {
      const std::int64_t per_gpu = sizes_.tasks_per_gpu->count, gpus = total_gpus(shape_.resources);
      if (shape_.gpus_by_default && sizes_.exclusive) throw Problem(sizes_.tasks_per_gpu->where, "the number of GPUs is not said", "say it with --gpus-per-node");
      if (sizes_.tasks && sizes_.tasks->count != per_gpu * gpus)
        throw Problem(sizes_.tasks_per_gpu->where,
                      number(per_gpu) + " ranks on each of " + counted(gpus, "GPU") + " are not the " + number(sizes_.tasks->count) +
                          " that " + sizes_.tasks->where + " says",
                      "leave out one of the two");
      shape_.ranks = per_gpu * gpus;
      return;
    }
    if (sizes_.tasks || ranks_from_gpus_) shape_.ranks = *tasks_;
    if (!sizes_.tasks_per_node) return;
    const std::int64_t per_node = sizes_.tasks_per_node->count;
    if (!sizes_.tasks || (nodes_ && per_node * *nodes_ == *tasks_)) shape_.ranks_per_node = per_node;
  }

  const Sizes& sizes_;
  std::optional<std::int64_t> nodes_, tasks_, gpus_;
  bool ranks_from_gpus_ = false;
  Shape shape_;
};

}  // namespace

Shape shape_of(const Sizes& sizes) { return Shaper(sizes).shape(); }

}  // namespace ultramarine::batch

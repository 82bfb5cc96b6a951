// Asking again while the scheduler is away (it restarts within seconds; jobs go on meanwhile). A scheduler that was never heard is not
// waited for.
#pragma once

#include <functional>

#include "scheduler/cli/client.h"
#include "scheduler/cli/interrupt.h"
#include "scheduler/model/time.h"

namespace ultramarine::cli {

class Patience {
 public:
  /// `longest`: after so long without a word the error is true. `heard` = it answered just now.
  Patience(const Interrupt& interrupt, const std::function<Time()>& now, Duration longest = seconds(30), bool heard = false)
      : interrupt_(interrupt), now_(now), longest_(longest), was_heard_(heard), heard_(now_()) {}

  template <class Call>
  auto operator()(Call call) {
    for (;;) {
      try {
        auto result = call();
        was_heard_ = true;
        heard_ = now_();
        return result;
      } catch (const CommandError& error) {
        if (error.code != exit_code::unreachable || !was_heard_ || now_() - heard_ > longest_) throw;
        interrupt_.wait(250);
        interrupt_.check();
      }
    }
  }

 private:
  const Interrupt& interrupt_;
  const std::function<Time()>& now_;
  const Duration longest_;
  bool was_heard_;
  Time heard_;
};

}  // namespace ultramarine::cli

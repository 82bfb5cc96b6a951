// A rapidcheck property as a GoogleTest: the same cases every time, others by ULTRAMARINE_SEED=n, many more by ULTRAMARINE_SLOW=1.
// A failure prints its smallest case as a story (see scenario.h).
#pragma once

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cstdlib>
#include <sstream>
#include <string>

#include "tests/support/counts.h"

namespace ultramarine::core::reference {

template <class Testable>
void check_property(int cases, Testable&& testable) {
  rc::detail::TestParams params;
  const char* seed = std::getenv("ULTRAMARINE_SEED");
  params.seed = seed ? std::strtoull(seed, nullptr, 10) : 1;
  params.maxSuccess = static_cast<int>(tests::cases(static_cast<std::uint64_t>(cases), static_cast<std::uint64_t>(cases) * 50));
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();
  const rc::detail::TestMetadata metadata{test->name(), test->name()};
  const auto result = rc::detail::checkTestable(std::forward<Testable>(testable), metadata, params);
  if (result.template is<rc::detail::SuccessResult>()) return;
  std::ostringstream words;
  rc::detail::printResultMessage(result, words);
  FAIL() << words.str();
}

}  // namespace ultramarine::core::reference

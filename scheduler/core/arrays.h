// Arrays: n jobs that were submitted as one. Their numbers are consecutive, the first one names the array.
#pragma once

#include <functional>
#include <vector>

#include "scheduler/model/state.h"

namespace ultramarine::core {

/// Whether this job's number is also the name of an array.
bool names_array(const Job& job);

/// Every element of the array that the job belongs to, in order; the job itself when it belongs to none.
std::vector<const Job*> elements_of(const State& state, const Job& job);

/// Whether `holds` for every element (or for the job itself); asks the last one first, and no more after a no: of an array whose elements end in
/// order it is the last that is still there.
bool all_elements(const State& state, const Job& job, const std::function<bool(const Job&)>& holds);

/// nullptr when the array has no such index.
const Job* element_at(const State& state, JobId array, std::int64_t index);

}  // namespace ultramarine::core

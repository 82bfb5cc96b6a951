// Why a job that started ahead of others harmed none of them. Plain values; core/certificate makes them.
#pragma once

#include <boost/describe.hpp>
#include <optional>
#include <string>

#include "scheduler/model/time.h"

namespace ultramarine {

/// The plan just before the round that started the job and the plan just after it say the same of all that were ahead of it.
struct Certificate {
  JobId job;
  std::int64_t attempt = 1;
  Time at_ms;
  std::int64_t overtaken = 0;         // jobs ahead of it that waited their turn and did not start
  std::int64_t promised = 0;          // jobs ahead of it that had a planned start (of a trial: all that had one, its own included); the digests are over these
  std::string digest_before, digest_after;  // of the planned starts: 128 bits in hex
  std::optional<Time> hole_until_ms;  // the earliest of those that its devices are promised for; absent: they are promised to nobody ahead of it
  Duration later_ms;                  // by how much planned starts moved later, all together: harm, and always 0
  bool operator==(const Certificate&) const = default;
};
BOOST_DESCRIBE_STRUCT(Certificate, (), (job, attempt, at_ms, overtaken, promised, digest_before, digest_after, hole_until_ms, later_ms))

}  // namespace ultramarine

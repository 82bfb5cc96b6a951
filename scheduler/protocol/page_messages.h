// Bodies of the HTTP API that pages need beside all others: who they are shown to. What has changed they learn from a stream without a body.
//
//   GET  /v1/caller               CallerView       both doors
//   GET  /v1/events               text/event-stream: `changed`, {"revision": N}, at once and whenever something was recorded; both doors
#pragma once

#include <boost/describe.hpp>
#include <string>
#include <vector>

namespace ultramarine::protocol {

/// Who asks, as the door knows him.
struct CallerView {
  bool identified = false;         // false: nobody knows; all else is then empty
  std::string user;
  std::vector<std::string> roles;  // of the cluster file's [roles]: user, lead, manager, admin, auditor
};
BOOST_DESCRIBE_STRUCT(CallerView, (), (identified, user, roles))

}  // namespace ultramarine::protocol

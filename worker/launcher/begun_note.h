// What is written down of an attempt that has begun on this node, JOB.ATTEMPT.begun in the jobs folder, so that the
// next agent runs its epilog as this one would have done.
#pragma once

#include <boost/describe.hpp>
#include <map>
#include <string>

namespace ultramarine::launcher {

struct BegunNote {
  bool ready = true;                             // its prolog has ended well, or there is none: its gangs may start
  std::map<std::string, std::string> variables;  // that prolog and epilog get
};
BOOST_DESCRIBE_STRUCT(BegunNote, (), (ready, variables))

}  // namespace ultramarine::launcher

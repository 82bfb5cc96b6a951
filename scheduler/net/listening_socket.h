// A Unix socket that one program makes and another one serves: clients may connect before that one runs, and wait.
#pragma once

#include <string>

#include "scheduler/net/file_descriptor.h"
#include "scheduler/net/http.h"

namespace ultramarine::net {

/// Listens at `path`, which whoever serves it removes. Throws NetError, also where somebody answers there already.
FileDescriptor listening_socket(const std::string& path, int unix_mode);

/// As `listen` (http.h), on a socket that listens at `path` already; without one it makes it.
std::unique_ptr<Server> listen_on_given(Loop& loop, FileDescriptor listening, const std::string& path, Handler handler, ServerOptions options = {});

}  // namespace ultramarine::net

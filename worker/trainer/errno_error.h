// A system call's failure as an exception.
#pragma once

#include <cerrno>
#include <string>
#include <system_error>

namespace ultramarine::trainer {

/// Throws std::system_error with errno's reason.
[[noreturn]] inline void fail(const std::string& what) { throw std::system_error(errno, std::generic_category(), what); }

}  // namespace ultramarine::trainer

// The cluster secret: a file of at least 128 bits as text, readable by nobody but the user who runs the daemon.
#pragma once

#include <stdexcept>
#include <string>

namespace ultramarine::server {

/// The secret can't be used. `problem` is what is wrong with the file, `remedy` what to type.
struct SecretError : std::runtime_error {
  SecretError(const std::string& problem_, std::string remedy_)
      : std::runtime_error(problem_), problem(problem_), remedy(std::move(remedy_)) {}
  std::string problem, remedy;
};

/// The file's text without surrounding blanks. Refuses a missing file, one that is not ours, one that others may read or write, and a
/// secret of less than 32 characters. Throws SecretError.
std::string read_secret(const std::string& path);
/// The same of a password that somebody else chose: it may be short.
std::string read_password(const std::string& path);

}  // namespace ultramarine::server

// Opened once and judged by what was opened, so that the file can't be exchanged in between.
#include "scheduler/server/secret_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace ultramarine::server {

namespace {
constexpr std::size_t characters_min = 32;

struct OpenFile {
  int descriptor;
  ~OpenFile() {
    if (descriptor >= 0) ::close(descriptor);
  }
};

/// The file's text without surrounding blanks, when nobody else can have read it.
std::string read_private(const std::string& path, const std::string& how_to_make_one) {
  const OpenFile file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)};
  if (file.descriptor < 0) {
    if (errno == ENOENT)
      throw SecretError(path + " does not exist", how_to_make_one);
    throw SecretError(path + " can't be read: " + std::strerror(errno),
                      "make it readable by the user who runs the daemon, and by nobody else");
  }
  struct stat status {};
  if (::fstat(file.descriptor, &status) != 0) throw SecretError(path + " can't be read: " + std::strerror(errno), "check the file system");
  if (!S_ISREG(status.st_mode)) throw SecretError(path + " is no file", "name a file");
  if (status.st_uid != ::geteuid())
    throw SecretError(
        path + " belongs to uid " + std::to_string(status.st_uid) + ", not to uid " + std::to_string(::geteuid()) + " who runs the daemon",
        "chown it, or run the daemon as its owner");
  if ((status.st_mode & 077) != 0)
    throw SecretError(path + " can be read or written by others", "chmod 600 " + path + ", and make a new secret if others could read it");
  std::array<char, 4096> buffer{};
  const ssize_t length = ::read(file.descriptor, buffer.data(), buffer.size());
  if (length < 0) throw SecretError(path + " can't be read: " + std::strerror(errno), "check the file system");
  std::string text(buffer.data(), static_cast<std::size_t>(length));
  constexpr const char* blanks = " \t\r\n";
  const std::size_t first = text.find_first_not_of(blanks);
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

}  // namespace

std::string read_secret(const std::string& path) {
  const std::string text =
      read_private(path, "`ultra cluster up` makes one; by hand: (umask 077; openssl rand -hex 32 > " + path + "), the same on every node");
  if (text.size() < characters_min)
    throw SecretError(path + " holds less than " + std::to_string(characters_min) + " characters",
                      "make a new one: (umask 077; openssl rand -hex 32 > " + path + ")");
  return text;
}

std::string read_password(const std::string& path) {
  const std::string text = read_private(path, "write the password into it: (umask 077; cat > " + path + ")");
  if (text.empty()) throw SecretError(path + " is empty", "write the password into it");
  return text;
}

}  // namespace ultramarine::server

#include "worker/launcher/mpi_environment.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace ultramarine::launcher {
namespace {

/// Reads values from the front of a packed buffer; nullopt when it is too short or not as expected.
class Unpacker {
 public:
  explicit Unpacker(std::string_view packed) : rest_(packed) {}
  std::optional<std::uint32_t> number() {
    if (rest_.size() < 4) return std::nullopt;
    std::uint32_t value = 0;
    for (int i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(rest_[static_cast<std::size_t>(i)]);
    rest_.remove_prefix(4);
    return value;
  }
  std::optional<bool> flag() {
    if (number() != 1 || rest_.empty()) return std::nullopt;
    const bool value = rest_.front() != 0;
    rest_.remove_prefix(1);
    return value;
  }
  /// Without the zero at its end.
  std::optional<std::string_view> text() {
    if (number() != 1) return std::nullopt;
    const auto length = number();
    if (!length || *length == 0 || *length > rest_.size()) return std::nullopt;
    const std::string_view value = rest_.substr(0, *length - 1);
    rest_.remove_prefix(*length);
    return value;
  }

 private:
  std::string_view rest_;
};

}  // namespace

void add_mpi_environment(std::map<std::string, std::string>& environment, const MpiSurroundings& surroundings) {
  struct Row {
    const char* name;
    std::string value;
    bool wanted;
    bool user_may_choose;
  };
  const std::array<Row, 5> table = {{
      // Without the address of a daemon a rank takes itself for a singleton; any well-formed value will do.
      {"OMPI_MCA_orte_local_daemon_uri", "0.0;tcp://127.0.0.1:1", true, false},
      // Nodes that share a host share its name: their segments and session folders collide unless kept apart.
      {"OMPI_MCA_btl_vader_backing_directory", surroundings.folder, true, false},
      {"OMPI_MCA_orte_tmpdir_base", surroundings.folder, true, false},
      // Loopback is excluded by default.
      {"OMPI_MCA_btl_tcp_if_include", "lo", surroundings.loopback, true},
      // A rank that waits must give its core to the rank it waits for.
      {"OMPI_MCA_mpi_yield_when_idle", "1", surroundings.oversubscribed, true},
  }};
  for (const Row& row : table) {
    if (!row.wanted || (row.user_may_choose && environment.contains(row.name))) continue;
    environment[row.name] = row.value;
  }
}

bool belongs_to_another_launcher(const std::string& variable) {
  const std::string_view name = variable;
  if (name.starts_with("PMIX_")) return !name.starts_with("PMIX_MCA_");
  constexpr std::array<std::string_view, 6> prefixes = {"PMI_",         "OMPI_COMM_WORLD_",   "OMPI_MCA_orte_",
                                                        "OMPI_MCA_ess", "OMPI_UNIVERSE_SIZE", "TORCHELASTIC_"};
  for (const std::string_view prefix : prefixes) {
    if (name.starts_with(prefix)) return true;
  }
  return false;
}

std::string text_of_help_message(std::string_view packed) {
  Unpacker unpacker(packed);
  if (!unpacker.text() || !unpacker.text() || !unpacker.flag().value_or(false)) return "";
  return std::string(unpacker.text().value_or(""));
}

}  // namespace ultramarine::launcher

// Which containment an agent uses, and the note about it in its state directory: an agent that is started in another session finds the groups
// that an earlier one made, and `ultra cluster down` cleans up after agents that are gone.
#pragma once

#include <memory>
#include <string>

#include "worker/launcher/containment/containment.h"

namespace ultramarine::agent {

/// <state>/containment.json: {"kind", "folders"}.
std::string containment_record(const std::string& state_directory);

/// That of the earlier agent while any of its gangs is there, else by `wish` ([agent] containment). Throws AgentError.
std::shared_ptr<launcher::Containment> settle_containment(const std::string& state_directory, const std::string& node, const std::string& wish);

}  // namespace ultramarine::agent

#include "worker/launcher/message_text.h"

#include "scheduler/protocol/codec.h"
#include "scheduler/protocol/progress_messages.h"
#include "scheduler/protocol/shim_messages.h"
#include "worker/launcher/begun_note.h"
#include "worker/launcher/job_folder.h"

namespace ultramarine::launcher {

template <class T>
std::string to_text(const T& value) {
  return protocol::to_json(value);
}

template <class T>
T from_text(std::string_view text) {
  return protocol::from_json<T>(text);
}

#define ULTRAMARINE_BOTH_WAYS(...)                      \
  template std::string to_text(const __VA_ARGS__&);     \
  template __VA_ARGS__ from_text<__VA_ARGS__>(std::string_view);
ULTRAMARINE_BOTH_WAYS(GangReport)
ULTRAMARINE_BOTH_WAYS(protocol::ToShim)
ULTRAMARINE_BOTH_WAYS(protocol::FromShim)
ULTRAMARINE_BOTH_WAYS(protocol::GangMessage)
ULTRAMARINE_BOTH_WAYS(protocol::ProgressMessage)
ULTRAMARINE_BOTH_WAYS(std::vector<protocol::CheckpointReport>)
ULTRAMARINE_BOTH_WAYS(LaunchOrder)
ULTRAMARINE_BOTH_WAYS(ShimPid)
ULTRAMARINE_BOTH_WAYS(Leftovers)
ULTRAMARINE_BOTH_WAYS(BegunNote)
#undef ULTRAMARINE_BOTH_WAYS

}  // namespace ultramarine::launcher

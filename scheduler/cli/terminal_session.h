// This terminal as that of a process inside a job: keys go there as they are typed, what it prints comes back, its window has the size of this one.
// Ctrl-C and job control happen on the other side. Ctrl-] leaves; the process goes on.
#pragma once

#include "scheduler/cli/client.h"
#include "scheduler/cli/interrupt.h"
#include "scheduler/cli/verb.h"

namespace ultramarine::cli {

/// The size of this terminal; of a pipe: 24 rows of 80.
TerminalSize window_size();

/// Until the gang's output has ended (true), or the person leaves by Ctrl-] or a signal (false). `since`: only what was printed since then. Without a
/// terminal as stdin its bytes are typed, and its end is a Ctrl-D.
bool stay_at_terminal(const JobName& job, std::int64_t gang, std::optional<Time> since, Context& context, Interrupt& interrupt);

/// The same for a job of `ultra shell`, and the exit code: the shell's, or `interrupted` when it was left.
int stay_with_shell(const JobName& job, std::optional<Time> since, Context& context, Interrupt& interrupt);

}  // namespace ultramarine::cli

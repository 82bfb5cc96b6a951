// The variables by which programs written for Slurm find out about their job: one table, a row per value. Names and forms are those of
// Slurm 22.05 (sbatch(1), srun(1)); what we know under another name is said in theirs. Values that nobody asked for stay unset, because
// programs ask "is it set?" (SLURM_NTASKS, SLURM_CPUS_PER_TASK).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "worker/launcher/rank_environment.h"

namespace ultramarine::launcher {

/// For a script and for the gangs inside it. `environment` is what the process has so far: in a gang, what the script's shell says of the job
/// as a whole stays as it is there.
void add_slurm_layer(Environment& environment, const protocol::LaunchSpec& launch, const GangLayout& layout, const RankPlace& place,
                     const GangSurroundings& surroundings);

/// One number per node as Slurm writes it: {2, 2, 2, 1} is "2(x3),1".
std::string fold_counts(const std::vector<std::int64_t>& counts);
/// A hostlist whose expansion has the names in this very order (the first one is where the script runs).
std::string fold_in_order(const std::vector<std::string>& names);

}  // namespace ultramarine::launcher

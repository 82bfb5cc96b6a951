#include "worker/devices/xid_table.h"

#include <algorithm>
#include <array>

namespace ultramarine::devices {
namespace {

using enum XidEffect;

// Where this table is stricter than the catalogue: 94 spares the node there until somebody has time for a reset; here the GPU is out of use until then.
constexpr std::array<XidRow, 65> rows{{
    {8, "the GPU stopped processing", blame_job, "Xid catalogue, row 8: RESTART_APP"},
    {11, "invalid or corrupted push buffer", blame_job, "Xid catalogue, row 11: RESTART_APP"},
    {13, "exception of the graphics engine", blame_job, "Xid catalogue, row 13: RESTART_APP"},
    {31, "page fault in GPU memory", blame_job, "Xid catalogue, row 31: RESTART_APP"},
    {32, "invalid or corrupted push buffer", blame_job, "Xid catalogue, row 32: RESTART_APP"},
    {37, "error of the driver's firmware", note, "Xid catalogue, row 37: IGNORE"},
    {38, "error of the driver's firmware", note, "Xid catalogue, row 38: IGNORE"},
    {39, "exception of copy engine 0", blame_job, "Xid catalogue, row 39: RESTART_APP"},
    {40, "exception of copy engine 1", blame_job, "Xid catalogue, row 40: RESTART_APP"},
    {41, "exception of copy engine 2", blame_job, "Xid catalogue, row 41: RESTART_APP"},
    {43, "the GPU stopped processing after a fault of the program", blame_job, "Xid catalogue, row 43: IGNORE"},
    {44, "fault of the graphics engine during a context switch", note, "Xid catalogue, row 44: IGNORE"},
    {45, "clean-up after an earlier error or the end of a program", note, "Xid catalogue, row 45: WORKFLOW_XID_45"},
    {46, "the GPU stopped processing", fail_job, "Xid catalogue, row 46: RESET_GPU"},
    {48, "double bit ECC error", fail_job, "Xid catalogue, row 48: WORKFLOW_XID_48"},
    {54, "the GPU board has no auxiliary power", drain_node, "Xid catalogue, row 54: CHECK_MECHANICALS"},
    {60, "exception of the video processor", blame_job, "Xid catalogue, row 60: RESTART_APP"},
    {62, "an internal micro-controller halted", fail_job, "Xid catalogue, row 62: RESET_GPU"},
    {63, "a row of GPU memory is to be remapped", note, "Xid catalogue, row 63: IGNORE"},
    {64, "GPU memory could not be remapped", drain_node, "Xid catalogue, row 64: RESET_GPU"},
    {66, "illegal access by the driver", note, "Xid catalogue, row 66: IGNORE"},
    {67, "illegal access by the driver", note, "Xid catalogue, row 67: IGNORE"},
    {68, "exception of video decoder 0", blame_job, "Xid catalogue, row 68: RESTART_APP"},
    {69, "class error of the graphics engine", blame_job, "Xid catalogue, row 69: RESTART_APP"},
    {70, "error of copy engine 3", blame_job, "Xid catalogue, row 70: RESTART_APP"},
    {71, "error of copy engine 4", blame_job, "Xid catalogue, row 71: RESTART_APP"},
    {72, "error of copy engine 5", blame_job, "Xid catalogue, row 72: RESTART_APP"},
    {74, "NVLink error", drain_node, "Xid catalogue, row 74: WORKFLOW_NVLINK_ERR"},
    {75, "error of copy engine 6", blame_job, "Xid catalogue, row 75: RESTART_APP"},
    {76, "error of copy engine 7", blame_job, "Xid catalogue, row 76: RESTART_APP"},
    {77, "error of copy engine 8", blame_job, "Xid catalogue, row 77: RESTART_APP"},
    {79, "the GPU has fallen off the bus", fail_job, "Xid catalogue, row 79: RESTART_BM"},
    {80, "corrupted data sent to the GPU", blame_job, "Xid catalogue, row 80: RESTART_APP"},
    {82, "error of JPEG engine 0", blame_job, "Xid catalogue, row 82: RESTART_APP"},
    {83, "error of video decoder 1", blame_job, "Xid catalogue, row 83: RESTART_APP"},
    {84, "error of video decoder 2", blame_job, "Xid catalogue, row 84: RESTART_APP"},
    {85, "error of copy engine 9", blame_job, "Xid catalogue, row 85: RESTART_APP"},
    {86, "exception of the optical flow engine", blame_job, "Xid catalogue, row 86: RESTART_APP"},
    {88, "error of video decoder 3", blame_job, "Xid catalogue, row 88: RESTART_APP"},
    {89, "error of video decoder 4", blame_job, "Xid catalogue, row 89: RESTART_APP"},
    {92, "many single bit ECC errors", note, "Xid catalogue, row 92: IGNORE"},
    {94, "contained memory error", fail_job, "Xid catalogue, row 94: RESTART_APP"},
    {95, "uncontained memory error", fail_job, "Xid catalogue, row 95: RESET_GPU"},
    {109, "time-out of a context switch", fail_job, "Xid catalogue, row 109: RESET_GPU"},
    {110, "security fault", drain_node, "Xid catalogue, row 110: RESET_GPU"},
    {119, "the GPU's system processor doesn't answer", drain_node, "Xid catalogue, row 119: RESET_GPU"},
    {120, "error of the GPU's system processor", drain_node, "Xid catalogue, row 120: RESET_GPU"},
    {121, "corrected errors on the link to the CPU", note, "Xid catalogue, row 121: IGNORE"},
    {136, "a link could not be trained", drain_node, "Xid catalogue, row 136: RESET_GPU"},
    {137, "fault of a remote access over NVLink", blame_job, "Xid catalogue, row 137: IGNORE"},
    {140, "uncorrected ECC error", fail_job, "Xid catalogue, row 140: RESET_GPU"},
    {143, "the GPU could not be initialized", fail_job, "Xid catalogue, row 143: RESET_GPU"},
    {144, "NVLink error (SAW)", drain_node, "Xid catalogue, row 144: WORKFLOW_NVLINK5_ERR"},
    {145, "NVLink error (RLW)", drain_node, "Xid catalogue, row 145: WORKFLOW_NVLINK5_ERR"},
    {146, "NVLink error (TLW)", drain_node, "Xid catalogue, row 146: WORKFLOW_NVLINK5_ERR"},
    {147, "NVLink error (TREX)", drain_node, "Xid catalogue, row 147: WORKFLOW_NVLINK5_ERR"},
    {148, "NVLink error (NVLPW_CTRL)", drain_node, "Xid catalogue, row 148: WORKFLOW_NVLINK5_ERR"},
    {149, "NVLink error (NETIR)", drain_node, "Xid catalogue, row 149: WORKFLOW_NVLINK5_ERR"},
    {150, "NVLink error (MSE)", drain_node, "Xid catalogue, row 150: WORKFLOW_NVLINK5_ERR"},
    {154, "the recovery that the GPU needs has changed", note, "Xid catalogue, row 154: XID_154"},
    {156, "a resource of the GPU is to be retired", drain_node, "Xid catalogue, row 156: RESET_GPU"},
    {157, "a resource of the GPU could not be retired", note, "Xid catalogue, row 157: IGNORE"},
    {158, "fatal time-out of the GPU", fail_job, "Xid catalogue, row 158: RESET_GPU"},
    {160, "a channel was retired", note, "Xid catalogue, row 160: IGNORE"},
    {161, "a channel could not be retired", note, "Xid catalogue, row 161: IGNORE"},
}};
static_assert(std::is_sorted(rows.begin(), rows.end(), [](const XidRow& a, const XidRow& b) { return a.code < b.code; }));

}  // namespace

std::span<const XidRow> xid_rows() { return rows; }

const XidRow* find_xid(std::int64_t code) {
  const auto found = std::lower_bound(rows.begin(), rows.end(), code, [](const XidRow& row, std::int64_t wanted) { return row.code < wanted; });
  return found != rows.end() && found->code == code ? &*found : nullptr;
}

}  // namespace ultramarine::devices

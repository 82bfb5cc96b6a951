// A BPF program that refuses devices to a control group of version 2, which has no file for that. The program compares what is asked for
// with each refused number; what matches none is left to the groups above (linux/bpf.h: BPF_PROG_TYPE_CGROUP_DEVICE).
#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "worker/launcher/containment/containment.h"
#include "worker/launcher/containment/group_files.h"

namespace ultramarine::launcher {
namespace {

int bpf(int command, bpf_attr& attributes) { return static_cast<int>(::syscall(SYS_bpf, command, &attributes, sizeof attributes)); }

bpf_insn instruction(int code, int to, int from, int offset, int value) {
  bpf_insn one{};
  one.code = static_cast<__u8>(code);
  one.dst_reg = static_cast<__u8>(to & 15);
  one.src_reg = static_cast<__u8>(from & 15);
  one.off = static_cast<__s16>(offset);
  one.imm = value;
  return one;
}

std::vector<bpf_insn> program_against(const std::vector<DeviceNumber>& devices) {
  const int load_word = BPF_LDX | BPF_MEM | BPF_W, unequal = BPF_JMP | BPF_JNE | BPF_K, set = BPF_ALU64 | BPF_MOV | BPF_K;
  std::vector<bpf_insn> code;
  // r1 is the question: its low 16 bits of access_type are the kind of device.
  code.push_back(instruction(load_word, BPF_REG_2, BPF_REG_1, offsetof(bpf_cgroup_dev_ctx, access_type), 0));
  code.push_back(instruction(BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_2, 0, 0, 0xffff));
  code.push_back(instruction(load_word, BPF_REG_3, BPF_REG_1, offsetof(bpf_cgroup_dev_ctx, major), 0));
  code.push_back(instruction(load_word, BPF_REG_4, BPF_REG_1, offsetof(bpf_cgroup_dev_ctx, minor), 0));
  for (const DeviceNumber& device : devices) {
    code.push_back(instruction(unequal, BPF_REG_2, 0, 4, BPF_DEVCG_DEV_CHAR));
    code.push_back(instruction(unequal, BPF_REG_3, 0, 3, static_cast<int>(device.major)));
    code.push_back(instruction(unequal, BPF_REG_4, 0, 2, static_cast<int>(device.minor)));
    code.push_back(instruction(set, BPF_REG_0, 0, 0, 0));
    code.push_back(instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
  }
  code.push_back(instruction(set, BPF_REG_0, 0, 0, 1));
  code.push_back(instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
  return code;
}

int load(const std::vector<DeviceNumber>& devices) {
  static constexpr char license[] = "GPL";
  const std::vector<bpf_insn> code = program_against(devices);
  bpf_attr attributes;
  std::memset(&attributes, 0, sizeof attributes);
  attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attributes.insns = reinterpret_cast<std::uintptr_t>(code.data());
  attributes.insn_cnt = static_cast<__u32>(code.size());
  attributes.license = reinterpret_cast<std::uintptr_t>(license);
  return bpf(BPF_PROG_LOAD, attributes);
}

int attach(int group, const std::vector<DeviceNumber>& devices) {
  const int program = load(devices);
  if (program < 0) return errno;
  bpf_attr attributes;
  std::memset(&attributes, 0, sizeof attributes);
  attributes.target_fd = static_cast<__u32>(group);
  attributes.attach_bpf_fd = static_cast<__u32>(program);
  attributes.attach_type = BPF_CGROUP_DEVICE;
  attributes.attach_flags = BPF_F_ALLOW_MULTI;
  const int problem = bpf(BPF_PROG_ATTACH, attributes) == 0 ? 0 : errno;
  ::close(program);  // the group keeps it
  return problem;
}

/// The group has such a program of its own. It is one of ours, so nobody else has put it there.
bool is_attached(int group) {
  bpf_attr attributes;
  std::memset(&attributes, 0, sizeof attributes);
  attributes.query.target_fd = static_cast<__u32>(group);
  attributes.query.attach_type = BPF_CGROUP_DEVICE;
  // Without room for their numbers it still says how many there are.
  return (bpf(BPF_PROG_QUERY, attributes) == 0 || errno == ENOSPC) && attributes.query.prog_cnt > 0;
}

}  // namespace

int deny_devices_by_program(const std::string& folder, const std::vector<DeviceNumber>& devices) {
  const int group = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (group < 0) return errno;
  const int problem = is_attached(group) ? 0 : attach(group, devices);
  ::close(group);
  return problem;
}

bool can_deny_devices_by_program() {
  const int program = load({});
  if (program >= 0) ::close(program);
  return program >= 0;
}

}  // namespace ultramarine::launcher

#include "worker/devices/kernel_log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>

using namespace ultramarine::devices;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

TEST(KernelLog, ReadsTheDriversLines) {
  const auto bare = parse_xid_line("NVRM: Xid (PCI:0000:3b:00): 79, pid=1234, name=python3, GPU has fallen off the bus.");
  ASSERT_TRUE(bare);
  EXPECT_EQ(bare->xid, 79);
  EXPECT_EQ(bare->address, "0000:3b:00");
  EXPECT_EQ(bare->pid, 1234);
  EXPECT_EQ(bare->line, "NVRM: Xid (PCI:0000:3b:00): 79, pid=1234, name=python3, GPU has fallen off the bus.");

  const auto of_the_device = parse_xid_line("3,1042,88731512,-;NVRM: Xid (PCI:0000:af:00): 31, pid='<unknown>', name=<unknown>, Ch 00000008\n");
  ASSERT_TRUE(of_the_device);
  EXPECT_EQ(of_the_device->xid, 31);
  EXPECT_EQ(of_the_device->pid, 0);
  EXPECT_THAT(of_the_device->line, testing::StartsWith("NVRM: Xid (PCI:0000:af:00): 31,"));

  const auto old = parse_xid_line("Dec 23 23:32:27 rescue kernel: [  270.4] NVRM: Xid (0000:01:00): 62, 0096(1c54) 00000000");
  ASSERT_TRUE(old);
  EXPECT_EQ(old->address, "0000:01:00");
  EXPECT_EQ(old->xid, 62);
}

TEST(KernelLog, PassesOverAllOthers) {
  for (const char* line : {"", "NVRM: GPU at PCI:0000:3b:00: GPU-0b11d014", "NVRM: Xid (PCI:0000:3b:00)", "NVRM: Xid (PCI:0000:3b:00): ", "NVRM: Xid (PCI:zz): 79,",
                           "NVRM: Xid (PCI:0000:3b:00: 79", "NVRM: Xid (PCI:0000:3b:00): -5,", "NVRM: Xid (PCI:0000:3b:00): 99999999999999999999,",
                           "usb 1-1: new device"})
    EXPECT_FALSE(parse_xid_line(line)) << line;
}

TEST(KernelLog, KnowsAPlaceHoweverItIsWritten) {
  EXPECT_EQ(parse_pci("00000000:3B:00.0"), parse_pci("0000:3b:00"));
  EXPECT_NE(parse_pci("00000001:3B:00.0"), parse_pci("0000:3b:00"));
  EXPECT_NE(parse_pci("0000:3b:00"), parse_pci("0000:3c:00"));
  for (const char* none : {"", "3b:00", "0000:3b", "0000:3b:00.", "0000:3b:00 ", "0000:3b:00.0x"}) EXPECT_FALSE(parse_pci(none)) << none;
}

TEST(KernelLog, FollowsAFifoFromNowOn) {
  std::array<char, 32> name{"/tmp/um-kmsg-XXXXXX"};
  const std::filesystem::path folder = ::mkdtemp(name.data());
  const std::string path = folder / "kmsg";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  {
    KernelLog log(path);
    EXPECT_THAT(log.read(), IsEmpty());
    std::ofstream writer(path);
    writer << "usb 1-1: new device\n3,1,2,-;NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.\n SUBSYSTEM=pci\nNVRM: Xid (PCI:0000:3b:00): 4" << std::flush;
    const auto first = log.read();
    ASSERT_THAT(first, SizeIs(1));
    EXPECT_EQ(first[0].xid, 79);
    writer << "8, more\n" << std::flush;
    const auto second = log.read();
    ASSERT_THAT(second, SizeIs(1));
    EXPECT_EQ(second[0].xid, 48);
    writer << std::string(60'000, 'x') << std::flush;
    EXPECT_THAT(log.read(), IsEmpty());
    writer << "\nNVRM: Xid (PCI:0000:3b:00): 13, again\n" << std::flush;
    EXPECT_THAT(log.read(), SizeIs(1));
  }
  EXPECT_THAT([&] { KernelLog log(folder / "none"); }, testing::ThrowsMessage<std::runtime_error>(HasSubstr("No such file")));
  std::ofstream(folder / "file") << "text\n";
  EXPECT_THAT([&] { KernelLog log(folder / "file"); }, testing::ThrowsMessage<std::runtime_error>(HasSubstr("no device of the kernel and no FIFO")));
  std::filesystem::remove_all(folder);
}

// Keeps the kernel from reassembling fragments before we see them.
//
// DPDK's net_af_packet (22.11 and later, without a devarg for it) joins its sockets to a fanout group with
// PACKET_FANOUT_FLAG_DEFRAG: the kernel then hands over whole datagrams, cut off at the driver's frame size.
// A router forwards fragments as they come (RFC 1812 4.2.2.7), so the flag is taken out on its way to the
// kernel: the process's own setsockopt() stands before the C library's, and changes nothing else.
#include <linux/if_packet.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

extern "C" [[gnu::used, gnu::visibility("default")]] int setsockopt(int fd, int level, int name,
                                                                    const void* value,
                                                                    socklen_t length) noexcept {
  unsigned fanout = 0;
  if (level == SOL_PACKET && name == PACKET_FANOUT && length == sizeof fanout) {
    std::memcpy(&fanout, value, sizeof fanout);
    fanout &= ~(static_cast<unsigned>(PACKET_FANOUT_FLAG_DEFRAG) << 16);
    value = &fanout;
  }
  return static_cast<int>(syscall(SYS_setsockopt, fd, level, name, value, length));
}

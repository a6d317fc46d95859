// The kernel that runs the test, asked for its links.
#include "controlplane/netlink_socket.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <vector>

#include "controlplane/kernel_dump.h"
#include "controlplane/netlink_message.h"

namespace millrace::controlplane {
namespace {

std::vector<NetlinkMessage> next_datagram(NetlinkSocket& socket) {
  std::vector<std::uint8_t> room(NetlinkSocket::kMaxDatagram);
  pollfd readable{socket.fd(), POLLIN, 0};
  std::vector<NetlinkMessage> messages;
  if (poll(&readable, 1, 5000) != 1) return messages;
  const auto received = socket.receive(room);
  EXPECT_EQ(received.kind, NetlinkSocket::Received::Kind::datagram);
  const auto parsed = parse_netlink(std::span(room).first(received.bytes), messages);
  EXPECT_TRUE(parsed) << parsed.error();
  return messages;
}

TEST(NetlinkSocket, TheKernelTellsItsLinks) {
  auto socket = NetlinkSocket::open();
  ASSERT_TRUE(socket) << socket.error();
  ASSERT_TRUE(socket->send(dump_request(KernelDump::links, 254, 7)));
  std::vector<std::string> names;
  const NetlinkDone* end = nullptr;
  std::vector<NetlinkMessage> messages;
  while (end == nullptr) {
    messages = next_datagram(*socket);
    ASSERT_FALSE(messages.empty()) << "the kernel answers";
    for (const NetlinkMessage& message : messages) {
      if (const auto* link = std::get_if<NetlinkLink>(&message)) names.push_back(link->name);
      if (const auto* done = std::get_if<NetlinkDone>(&message); done != nullptr && done->sequence == 7)
        end = done;
    }
  }
  EXPECT_EQ(end->error, 0);
  EXPECT_NE(std::find(names.begin(), names.end(), "lo"), names.end());
}

TEST(NetlinkSocket, EveryDumpIsOneThatTheKernelUnderstands) {
  auto socket = NetlinkSocket::open();
  ASSERT_TRUE(socket) << socket.error();
  for (const KernelDump what : {KernelDump::next_hops, KernelDump::ipv4_routes, KernelDump::ipv6_routes}) {
    const auto sequence = static_cast<std::uint32_t>(what) + 1;
    ASSERT_TRUE(socket->send(dump_request(what, 254, sequence)));
    for (bool ended = false; !ended;) {
      const auto messages = next_datagram(*socket);
      ASSERT_FALSE(messages.empty()) << sequence;
      const auto* done = std::get_if<NetlinkDone>(&messages.back());
      ended = done != nullptr && done->sequence == sequence;
      if (ended) {
        EXPECT_TRUE(done->error == 0 || done->error == 2 || done->error == 95)
            << sequence << " " << done->error;
      }
    }
  }
}

TEST(NetlinkSocket, OneThatSaysNothingIsEmpty) {
  auto socket = NetlinkSocket::open();
  ASSERT_TRUE(socket) << socket.error();
  std::vector<std::uint8_t> room(NetlinkSocket::kMaxDatagram);
  while (socket->receive(room).kind != NetlinkSocket::Received::Kind::nothing) {
  }
  EXPECT_EQ(socket->queued_bytes(), 0U);
}

}  // namespace
}  // namespace millrace::controlplane

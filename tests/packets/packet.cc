#include "tests/packets/packet.h"

#include <algorithm>
#include <cstdio>

namespace millrace::packets {
namespace {

void append16(Bytes& to, std::uint32_t value) {
  to.push_back(static_cast<std::uint8_t>(value >> 8));
  to.push_back(static_cast<std::uint8_t>(value));
}

void append32(Bytes& to, std::uint32_t value) {
  append16(to, value >> 16);
  append16(to, value & 0xffff);
}

void append(Bytes& to, const MacAddress& mac) {
  to.insert(to.end(), mac.bytes.begin(), mac.bytes.end());
}

std::string mac_at(const Bytes& data, std::size_t at) {
  MacAddress address;
  std::copy_n(data.begin() + static_cast<std::ptrdiff_t>(at), 6, address.bytes.begin());
  return address.to_string();
}

std::string ip_at(const Bytes& data, std::size_t at) {
  return Ipv4Address(get32(data, at)).to_string();
}

std::string describe_ipv4(const Bytes& f) {
  if (f.size() < kEthernet + 20) return "  IPv4, cut short\n";
  const std::size_t header = std::min<std::size_t>((f[14] & 0xfU) * 4, f.size() - kEthernet);
  const std::uint16_t flags = get16(f, 20);
  char line[256];
  std::snprintf(
      line, sizeof line,
      "  IPv4 %s > %s, v%u ihl %u tos %02x length %u id %04x flags %s%s%s offset %u ttl %u protocol %u "
      "checksum %04x (%s)\n",
      ip_at(f, 26).c_str(), ip_at(f, 30).c_str(), f[14] >> 4, f[14] & 0xfU, f[15], get16(f, 16), get16(f, 18),
      (flags & kReservedFlag) != 0 ? "R" : "", (flags & kDf) != 0 ? "D" : "", (flags & kMf) != 0 ? "M" : "",
      (flags & 0x1fffU) * 8, f[22], f[23], get16(f, 24),
      naive_checksum(slice(f, kEthernet, header)) == 0 ? "right" : "wrong");
  std::string text = line;
  const std::size_t at = kEthernet + header;
  if (f[23] == 1 && (flags & 0x1fffU) == 0 && f.size() >= at + 8) {
    std::snprintf(line, sizeof line, "  ICMP type %u code %u checksum %04x rest %08x\n", f[at], f[at + 1],
                  get16(f, at + 2), get32(f, at + 4));
    text += line;
  }
  return text;
}

std::string describe_arp(const Bytes& f) {
  if (f.size() < kEthernet + 28) return "  ARP, cut short\n";
  return "  ARP operation " + std::to_string(get16(f, 20)) + ": " + ip_at(f, 28) + " " + mac_at(f, 22) +
         " asks/tells " + ip_at(f, 38) + " " + mac_at(f, 32) + "\n";
}

}  // namespace

std::uint16_t get16(const Bytes& data, std::size_t at) {
  return static_cast<std::uint16_t>(data.at(at) << 8 | data.at(at + 1));
}
std::uint32_t get32(const Bytes& data, std::size_t at) {
  return static_cast<std::uint32_t>(get16(data, at)) << 16 | get16(data, at + 2);
}
void put16(Bytes& data, std::size_t at, std::uint32_t value) {
  data.at(at) = static_cast<std::uint8_t>(value >> 8);
  data.at(at + 1) = static_cast<std::uint8_t>(value);
}
void put32(Bytes& data, std::size_t at, std::uint32_t value) {
  put16(data, at, value >> 16);
  put16(data, at + 2, value & 0xffff);
}

std::uint16_t naive_checksum(const Bytes& data) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < data.size(); i += 2) {
    sum += static_cast<std::uint32_t>(data[i] << 8) | (i + 1 < data.size() ? data[i + 1] : 0U);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return static_cast<std::uint16_t>(~sum);
}

Bytes join(const Bytes& a, const Bytes& b) {
  Bytes both = a;
  both.insert(both.end(), b.begin(), b.end());
  return both;
}

Bytes slice(const Bytes& data, std::size_t from, std::size_t length) {
  const std::size_t begin = std::min(from, data.size());
  const std::size_t end = std::min(data.size(), begin + length);
  return {data.begin() + static_cast<std::ptrdiff_t>(begin), data.begin() + static_cast<std::ptrdiff_t>(end)};
}

Bytes pattern(std::size_t length, unsigned seed) {
  Bytes data(length);
  for (std::size_t i = 0; i < length; ++i)
    data[i] = static_cast<std::uint8_t>((i * 7 + (i >> 8) * 31 + seed) & 0xff);
  return data;
}

Ipv4Address ip(const char* text) {
  return Ipv4Address::parse(text).value();
}
MacAddress mac(const char* text) {
  return MacAddress::parse(text).value();
}

Bytes Ipv4Packet::bytes() const {
  Bytes padded = options;
  padded.resize((options.size() + 3) / 4 * 4);
  const std::size_t header = 20 + padded.size();
  Bytes out;
  out.push_back(static_cast<std::uint8_t>(version << 4 | ihl.value_or(static_cast<unsigned>(header / 4))));
  out.push_back(tos);
  append16(out, total_length.value_or(static_cast<std::uint16_t>(header + payload.size())));
  append16(out, identification);
  append16(out, flags_offset);
  out.push_back(ttl);
  out.push_back(protocol);
  append16(out, 0);
  append32(out, source.value());
  append32(out, destination.value());
  out = join(out, padded);
  put16(out, 10, checksum.value_or(naive_checksum(out)));
  return join(out, payload);
}

// The checksum of UDP may be absent (RFC 768), which a router in between neither knows nor cares about.
Bytes udp(std::uint16_t source_port, std::uint16_t destination_port, const Bytes& data) {
  Bytes out;
  append16(out, source_port);
  append16(out, destination_port);
  append16(out, static_cast<std::uint32_t>(8 + data.size()));
  append16(out, 0);
  return join(out, data);
}

Bytes tcp(std::uint16_t source_port, std::uint16_t destination_port, const Bytes& data) {
  Bytes out;
  append16(out, source_port);
  append16(out, destination_port);
  append32(out, 1);
  append32(out, 0);
  append16(out, 0x5002);  // 5 words, SYN
  append16(out, 8192);
  append32(out, 0);
  return join(out, data);
}

Bytes icmp(std::uint8_t type, std::uint8_t code, std::uint32_t rest, const Bytes& data) {
  Bytes out{type, code, 0, 0};
  append32(out, rest);
  out = join(out, data);
  put16(out, 2, naive_checksum(out));
  return out;
}

Bytes ethernet(const MacAddress& to, const MacAddress& from, std::uint16_t type, const Bytes& payload) {
  Bytes out;
  append(out, to);
  append(out, from);
  append16(out, type);
  return join(out, payload);
}

Bytes ArpPacket::bytes() const {
  Bytes out;
  append16(out, hardware_type);
  append16(out, protocol_type);
  out.push_back(hardware_length);
  out.push_back(protocol_length);
  append16(out, operation);
  append(out, sender_mac);
  append32(out, sender.value());
  append(out, target_mac);
  append32(out, target.value());
  return out;
}

void fix_checksum(Bytes& frame) {
  put16(frame, kEthernet + 10, 0);
  put16(frame, kEthernet + 10, naive_checksum(slice(frame, kEthernet, (frame[kEthernet] & 0xfU) * 4)));
}

Bytes forwarded(const Bytes& frame, const MacAddress& to, const MacAddress& from) {
  Bytes out = slice(frame, 0, kEthernet + get16(frame, kEthernet + 2));
  std::copy(to.bytes.begin(), to.bytes.end(), out.begin());
  std::copy(from.bytes.begin(), from.bytes.end(), out.begin() + 6);
  out[kEthernet + 8] = static_cast<std::uint8_t>(out[kEthernet + 8] - 1);
  fix_checksum(out);
  return out;
}

std::string describe(const Bytes& frame) {
  if (frame.size() < kEthernet) return "  runt of " + std::to_string(frame.size()) + " bytes\n";
  const std::uint16_t type = get16(frame, 12);
  char line[128];
  std::snprintf(line, sizeof line, "  Ethernet %s > %s type %04x, %zu bytes\n", mac_at(frame, 6).c_str(),
                mac_at(frame, 0).c_str(), type, frame.size());
  return line + (type == 0x0800 ? describe_ipv4(frame) : type == 0x0806 ? describe_arp(frame) : "");
}

std::string hex(const Bytes& data, const Bytes* other) {
  std::string out;
  for (std::size_t i = 0; i < data.size(); ++i) {
    char text[32];
    if (i % 16 == 0) {
      std::snprintf(text, sizeof text, "%s  %04zx ", i == 0 ? "" : "\n", i);
      out += text;
    }
    const bool differs = other != nullptr && (i >= other->size() || (*other)[i] != data[i]);
    std::snprintf(text, sizeof text, "%c%02x", differs ? '>' : ' ', data[i]);
    out += text;
  }
  return out + "\n";
}

::testing::AssertionResult same(const Bytes& wanted, const Bytes& got) {
  if (wanted == got) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << "wanted:\n"
         << describe(wanted) << hex(wanted, &got) << "got ('>' marks what differs):\n"
         << describe(got) << hex(got, &wanted);
}

}  // namespace millrace::packets

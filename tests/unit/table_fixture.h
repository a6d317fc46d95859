// What the RIB and the resolver stand on, without ports: tables, a writer, and two interfaces that are up.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "controlplane/interfaces.h"
#include "controlplane/next_hops.h"
#include "dataplane/table_writer.h"
#include "dataplane/tables.h"
#include "lpm/reclaimer.h"

namespace millrace::controlplane {

inline Ipv4Prefix operator""_p(const char* text, std::size_t size) {
  return *Ipv4Prefix::parse({text, size});
}
inline Ipv4Address operator""_a(const char* text, std::size_t size) {
  return *Ipv4Address::parse({text, size});
}

class TableFixture : public testing::Test {
 protected:
  static constexpr std::uint32_t kGroups = 2;  // tbl8 groups of the FIB: soon used up

  explicit TableFixture(std::uint32_t groups = kGroups)
      : writer_(tables_, reclaimer_, {groups, lpm::Pages::normal}, {}) {
    wan_ = &add("wan0", "192.0.2.1/24", PortId(0));
    lan_ = &add("lan0", "198.51.100.1/24", PortId(1));
    interfaces_.publish_addresses();
  }

  Interface& add(const std::string& name, const std::string& address, PortId port) {
    config::InterfaceConfig config;
    std::visit([&]<class Address>(
                   const IpInterfaceAddress<Address>& own) { config.addresses.of<Address>().push_back(own); },
               *parse_interface_address(address));
    Interface* interface = interfaces_.add(name, config);
    interface->port = port;
    interface->mac = MacAddress{{2, 0, 0, 0, 0, static_cast<std::uint8_t>(port.value() + 1)}};
    interface->up = true;
    interfaces_.publish(*interface);
    return *interface;
  }
  void set_up(Interface& interface, bool up) {
    interface.up = up;
    interfaces_.publish_addresses();
    next_hops_.interfaces_changed();
  }
  void pass_grace_period() {
    while (reclaimer_.poll() != 0) {
    }
  }

  lpm::Reclaimer reclaimer_{1};
  dataplane::Tables tables_;
  dataplane::TableWriter writer_;
  Interfaces interfaces_{writer_};
  NextHops next_hops_{writer_, interfaces_};
  Interface* wan_ = nullptr;
  Interface* lan_ = nullptr;
};

}  // namespace millrace::controlplane

#include "controlplane/privileges.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <vector>

#include "controlplane/http_server.h"
#include "dataplane/port.h"

namespace millrace::controlplane {
namespace {

using Set = std::uint64_t;  // a bit for each capability

constexpr Set bit(unsigned capability) {
  return Set{1} << capability;
}

struct Capability {
  unsigned number;
  std::string_view name;
  bool without_iommu_only;
};

// Ports come and go with `millrace apply`, so that these stay as long as the router runs. Without an IOMMU a
// PCI driver needs physical addresses (/proc/self/pagemap) and I/O ports as well.
constexpr Capability kCapabilities[] = {
    {CAP_NET_ADMIN, "net_admin", false},                // promiscuous mode, TAPs, queues of kernel interfaces
    {CAP_NET_RAW, "net_raw", false},                    // packet sockets
    {CAP_IPC_LOCK, "ipc_lock", false},                  // memory that devices write to stays put (VFIO)
    {CAP_NET_BIND_SERVICE, "net_bind_service", false},  // a port below 1024 for the metrics
    {CAP_SYS_RAWIO, "sys_rawio", true},
    {CAP_SYS_ADMIN, "sys_admin", true},
};

bool has_iommu() {
  std::error_code ignored;
  return std::filesystem::directory_iterator("/sys/kernel/iommu_groups", ignored) !=
         std::filesystem::directory_iterator();
}

Set needed(const config::Config& config) {
  const bool pci = std::any_of(config.interfaces.begin(), config.interfaces.end(), [](const auto& interface) {
    return dataplane::is_pci_address(interface.second.device);
  });
  const bool bare_pci = pci && !has_iommu();
  Set set = 0;
  for (const Capability& c : kCapabilities) set |= c.without_iommu_only && !bare_pci ? 0 : bit(c.number);
  return set;
}

std::string names(Set set) {
  std::string list;
  for (const Capability& c : kCapabilities) {
    if ((set & bit(c.number)) == 0) continue;
    if (!list.empty()) list += ' ';
    list += c.name;
  }
  return list;
}

Error system_error(const char* what) {
  return Error{std::string(what) + ": " + std::strerror(errno)};
}

// capget and capset have no wrapper in the C library.
Result<Set> permitted() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  if (syscall(SYS_capget, &header, data) != 0) return system_error("capget");
  return Set{data[1].permitted} << 32 | data[0].permitted;
}

// Permitted and effective become `set`, nothing is inheritable; with that the ambient set is empty, too.
Result<void> reduce_to(Set set) {
  const auto low = static_cast<std::uint32_t>(set);
  const auto high = static_cast<std::uint32_t>(set >> 32);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{low, low, 0}, {high, high, 0}};
  if (syscall(SYS_capset, &header, data) != 0) return system_error("capset");
  return {};
}

// The bounding set: what a program that gets executed might gain. Without CAP_SETPCAP it cannot be changed,
// and need not be: no_new_privs holds such a program down all the same.
Result<void> reduce_bounding_set(Set kept) {
  for (unsigned number = 0; number < 64 && prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0; ++number) {
    if ((kept & bit(number)) == 0 && prctl(PR_CAPBSET_DROP, number, 0, 0, 0) != 0)
      return system_error("cannot reduce the bounding set");
  }
  return {};
}

// Who is in a group may give files to it: afterwards the API's socket needs no CAP_CHOWN.
Result<void> join_group(const char* name) {
  const struct group* entry = getgrnam(name);
  if (entry == nullptr) return {};
  const int count = getgroups(0, nullptr);
  if (count < 0) return system_error("getgroups");
  std::vector<gid_t> groups(static_cast<std::size_t>(count));
  if (getgroups(count, groups.data()) < 0) return system_error("getgroups");
  if (std::find(groups.begin(), groups.end(), entry->gr_gid) != groups.end()) return {};
  groups.push_back(entry->gr_gid);
  if (setgroups(groups.size(), groups.data()) != 0) return system_error("setgroups");
  return {};
}

}  // namespace

Result<Rights> drop_privileges(const config::Config& config) {
  umask(0027);  // nothing that we write is for everybody
  const auto before = permitted();
  if (!before) return Error{before.error()};
  if ((*before & bit(CAP_SETGID)) != 0) {
    if (auto joined = join_group(kApiGroup); !joined) return Error{joined.error()};
  }
  const Set wanted = needed(config);
  if ((*before & bit(CAP_SETPCAP)) != 0) {
    if (auto reduced = reduce_bounding_set(wanted); !reduced) return Error{reduced.error()};
  }
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return system_error("cannot set no_new_privs");
  if (auto reduced = reduce_to(wanted & *before); !reduced) return Error{reduced.error()};
  return Rights{names(wanted & *before), names(wanted & ~*before)};
}

}  // namespace millrace::controlplane

#include "controlplane/host_netns.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <fstream>
#include <mutex>
#include <thread>

namespace millrace::controlplane {

namespace {

constexpr const char* kFolder = "/run/netns";  // ip-netns(8)

Error system_error(const std::string& what) {
  return Error{"host.netns: " + what + ": " + std::strerror(errno)};
}

// Of a namespace that is new. A router's packets are Millrace's: the kernel forwards none of them.
void set_sysctls() {
  const std::pair<const char*, const char*> values[] = {
      {"/proc/sys/net/ipv4/ip_forward", "0"},
      {"/proc/sys/net/ipv4/conf/all/rp_filter", "2"},
      {"/proc/sys/net/ipv4/conf/default/rp_filter", "2"},
      {"/proc/sys/net/ipv6/conf/all/keep_addr_on_down", "1"},
      {"/proc/sys/net/ipv6/conf/default/keep_addr_on_down", "1"},
      {"/proc/sys/net/ipv6/conf/default/accept_dad", "0"},
      {"/proc/sys/net/ipv6/conf/default/accept_ra", "0"},
  };
  for (const auto& [path, value] : values)
    std::ofstream(path) << value;  // what the kernel lacks is not needed
}

void set_loopback_up() {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  if (ioctl(fd, SIOCGIFFLAGS, &request) == 0) {
    request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
    ioctl(fd, SIOCSIFFLAGS, &request);
  }
  close(fd);
}

// Makes a namespace, enters it with this thread, and gives it its name.
Result<void> make(const std::string& path) {
  if (mkdir(kFolder, 0755) != 0 && errno != EEXIST)
    return system_error(std::string("cannot make ") + kFolder);
  const int file = open(path.c_str(), O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0);
  if (file < 0) return system_error("cannot make " + path);
  close(file);
  if (unshare(CLONE_NEWNET) != 0 ||
      mount("/proc/thread-self/ns/net", path.c_str(), "none", MS_BIND, nullptr) != 0) {
    const Error error = system_error("cannot make the namespace");
    unlink(path.c_str());
    return error;
  }
  set_sysctls();
  set_loopback_up();
  return {};
}

Result<void> enter_or_make(const std::string& name) {
  const std::string path = std::string(kFolder) + "/" + name;
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return errno == ENOENT ? make(path) : Result<void>(system_error("cannot open " + path));
  const bool entered = setns(file, CLONE_NEWNET) == 0;
  const int why = errno;
  close(file);
  if (entered) return {};
  errno = why;
  return system_error(why == EINVAL ? path + " is no network namespace" : "cannot enter " + path);
}

}  // namespace

// One piece of work at a time.
struct HostNetns::Inside {
  std::mutex mutex;
  std::condition_variable changed;
  const std::function<void()>* work = nullptr;
  bool ends = false;
  std::thread thread;

  void serve() {
    std::unique_lock lock(mutex);
    while (true) {
      changed.wait(lock, [&] { return work != nullptr || ends; });
      if (work == nullptr) return;
      (*work)();
      work = nullptr;
      changed.notify_all();
    }
  }
};

HostNetns::HostNetns(std::string name) : name_(std::move(name)) {}

Result<std::unique_ptr<HostNetns>> HostNetns::enter(const std::string& name) {
  std::unique_ptr<HostNetns> netns(new HostNetns(name));
  if (name.empty()) return netns;
  netns->inside_ = std::make_unique<Inside>();
  Inside& inside = *netns->inside_;
  Result<void> entered;
  inside.thread = std::thread([&inside] { inside.serve(); });
  netns->run([&] { entered = enter_or_make(name); });
  if (!entered) return Error{entered.error()};
  return netns;
}

HostNetns::~HostNetns() {
  if (!inside_) return;
  {
    const std::lock_guard lock(inside_->mutex);
    inside_->ends = true;
  }
  inside_->changed.notify_all();
  inside_->thread.join();
}

void HostNetns::run(const std::function<void()>& work) {
  if (!inside_) return work();
  std::unique_lock lock(inside_->mutex);
  inside_->work = &work;
  inside_->changed.notify_all();
  inside_->changed.wait(lock, [&] { return inside_->work == nullptr; });
}

}  // namespace millrace::controlplane

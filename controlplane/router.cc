#include "controlplane/router.h"

#include <linux/rtnetlink.h>
#include <pthread.h>
#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <spdlog/spdlog.h>
#include <sys/prctl.h>
#include <systemd/sd-daemon.h>

#include <boost/asio.hpp>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <random>
#include <thread>

#include "controlplane/api.h"
#include "controlplane/control.h"
#include "controlplane/fpm_server.h"
#include "controlplane/http_server.h"
#include "controlplane/kernel_notices.h"
#include "controlplane/metrics.h"
#include "controlplane/netlink_listener.h"
#include "controlplane/taps.h"
#include "dataplane/eal.h"
#include "dataplane/router_features.h"

// A test library that watches what worker threads call (tests/guard); absent in a router.
extern "C" [[gnu::weak]] void millrace_guard_enter_worker();
extern "C" [[gnu::weak]] void millrace_guard_leave_worker();

namespace millrace::controlplane {
namespace {

namespace asio = boost::asio;

constexpr auto kTick = std::chrono::milliseconds(5);
// Punted packets handled before the loop sees to its other work.
constexpr unsigned kPuntBudget = 256;
// Frames of daemons, likewise.
constexpr unsigned kHostBudget = 256;

std::uint64_t monotonic_ns() {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

// "1-3,5" as the kernel writes it.
std::vector<unsigned> read_core_list(const char* path) {
  std::vector<unsigned> cores;
  std::ifstream file(path);
  unsigned first = 0;
  while (file >> first) {
    unsigned last = first;
    if (file.peek() == '-') {
      file.get();
      file >> last;
    }
    for (unsigned core = first; core <= last; ++core) cores.push_back(core);
    if (file.peek() == ',') file.get();
  }
  return cores;
}

// What the file says; else all isolated cores; else the last one.
std::vector<unsigned> worker_cores(const config::Config& config) {
  if (config.dataplane.workers) return *config.dataplane.workers;
  std::vector<unsigned> cores = read_core_list("/sys/devices/system/cpu/isolated");
  if (cores.empty()) cores = {std::thread::hardware_concurrency() - 1};
  if (cores.size() > 1) std::erase(cores, config.control.core);
  return cores;
}

dataplane::EalOptions eal_options(const config::Config& config, const std::vector<unsigned>& cores) {
  dataplane::EalOptions options;
  options.control_core = config.control.core;
  options.worker_cores = cores;
  options.memory_bytes = config.dataplane.memory_bytes;
  options.drivers = config.dataplane.drivers;
  switch (config.dataplane.hugepages) {
    case config::Hugepages::automatic:
      options.hugepages = dataplane::EalOptions::Huge::automatic;
      break;
    case config::Hugepages::size_1g:
      options.hugepages = dataplane::EalOptions::Huge::size_1g;
      break;
    case config::Hugepages::size_2m:
      options.hugepages = dataplane::EalOptions::Huge::size_2m;
      break;
    case config::Hugepages::none:
      options.hugepages = dataplane::EalOptions::Huge::none;
      break;
  }
  for (const auto& [name, interface] : config.interfaces) {
    if (dataplane::is_pci_address(interface.device)) options.pci_devices.push_back(interface.device);
  }
  return options;
}

Result<void> check_cores(const std::vector<unsigned>& cores, unsigned control) {
  const unsigned count = std::thread::hardware_concurrency();
  for (const unsigned core : cores) {
    if (core >= count) return Error{"dataplane.workers: this machine has no core " + std::to_string(core)};
  }
  if (control >= count) return Error{"control.core: this machine has no core " + std::to_string(control)};
  return {};
}

struct WorkerThread {
  Control* control;
  unsigned id;
};

int run_worker(void* argument) {
  const auto* self = static_cast<const WorkerThread*>(argument);
  pthread_setname_np(pthread_self(), ("mr-worker-" + std::to_string(self->id)).c_str());
  prctl(PR_SET_TIMERSLACK, 1000UL);  // naps end on time
  self->control->reclaimer().register_worker(self->id);
  if (&millrace_guard_enter_worker != nullptr) millrace_guard_enter_worker();
  self->control->worker(self->id).run();
  if (&millrace_guard_leave_worker != nullptr) millrace_guard_leave_worker();
  self->control->reclaimer().unregister_worker(self->id);
  return 0;
}

}  // namespace

struct Router::Impl {
  std::vector<unsigned> cores;
  std::unique_ptr<dataplane::Eal> eal;
  asio::io_context io{1};
  HostNetns* netns = nullptr;
  std::unique_ptr<Taps> taps;
  std::unique_ptr<Control> control;
  LagHistogram lag;
  std::vector<WorkerThread> worker_threads;
  std::unique_ptr<Api> api;
  std::unique_ptr<HttpServer> server;
  std::unique_ptr<FpmServer> fpm;            // null: no such feed
  std::unique_ptr<NetlinkListener> netlink;  // null: no such feed
  asio::signal_set signals{io};
  asio::steady_timer ticker{io};
  asio::posix::stream_descriptor doorbell{io};
  asio::posix::stream_descriptor host{io};  // readable when daemons have sent
  std::unique_ptr<KernelNotices> links;     // of the kernel interfaces that ports are on
  asio::posix::stream_descriptor link_notices{io};
  asio::posix::stream_descriptor link_bell{io};  // of ports that tell of theirs
  asio::steady_timer::time_point next_tick;

  Result<void> start(const config::Config& config, const std::string& file);
  Result<void> open_feeds(const config::FeedsConfig& feeds);
  void start_feeds();
  Result<void> start_control(const config::Config& config);
  void start_workers();
  void on_control(const std::function<void(Control&)>& work);
  void tick();
  void wait_for_punts();
  void handle_punts();
  void wait_for_links();
  void wait_for_link_bell();
  void wait_for_host();
  void handle_host();
  void stop();
};

Result<void> Router::Impl::start(const config::Config& config, const std::string& file) {
  signals.add(SIGINT);  // one that comes during the start is handled by run()
  signals.add(SIGTERM);
  cores = worker_cores(config);
  if (auto checked = check_cores(cores, config.control.core); !checked) return checked;
  auto started = dataplane::Eal::start(eal_options(config, cores));
  if (!started) return Error{started.error()};
  eal = std::move(*started);
  if (std::find(cores.begin(), cores.end(), config.control.core) != cores.end()) {
    spdlog::warn("a worker shares core {} with the control thread: both are slower for it",
                 config.control.core);
  }
  spdlog::info(
      "hugepages: {}{}", eal->hugepages(),
      eal->hugepages() == "none" ? " (big tables are slower without; see docs/configuration.md)" : "");
  RouterInfo info;
  info.config_file = file;
  info.hugepages = eal->hugepages();
  info.worker_cores = cores;
  info.tsc_hz = rte_get_tsc_hz();
  info.started_ns = monotonic_ns();
  info.now_ns = monotonic_ns;
  info.lag = &lag;
  api = std::make_unique<Api>([this](const auto& work) { on_control(work); }, std::move(info));
  auto opened = HttpServer::open({config.control.api, config.control.metrics}, *api);
  if (!opened) return Error{opened.error()};
  server = std::move(*opened);
  if (auto feeds_opened = open_feeds(config.feeds); !feeds_opened) return feeds_opened;
  auto links_opened = KernelNotices::open(RTMGRP_LINK);
  if (!links_opened) return Error{links_opened.error()};
  links = std::move(*links_opened);
  auto taps_opened = Taps::open(*netns);
  if (!taps_opened) return Error{taps_opened.error()};
  taps = std::move(*taps_opened);
  if (auto control_started = start_control(config); !control_started) return control_started;
  start_workers();
  server->start();
  return {};
}

// Where daemons are, and before all else, so that an error is known; nothing is read before start_feeds().
Result<void> Router::Impl::open_feeds(const config::FeedsConfig& feeds) {
  Result<std::unique_ptr<FpmServer>> listening = Error{""};
  Result<NetlinkSocket> socket = Error{""};
  netns->run([&] {
    if (feeds.fpm) listening = FpmServer::open(io, feeds.fpm->listen);
    if (feeds.netlink) socket = NetlinkSocket::open();
  });
  if (feeds.fpm) {
    if (!listening) return Error{listening.error()};
    fpm = std::move(*listening);
  }
  if (feeds.netlink) {
    if (!socket) return Error{socket.error()};
    netlink = std::make_unique<NetlinkListener>(io, std::move(*socket));
  }
  return {};
}

void Router::Impl::start_feeds() {
  const auto tell_time = [this] { control->set_time(monotonic_ns()); };
  if (fpm) fpm->start(*control->fpm(), tell_time);
  if (netlink) netlink->start(*control->netlink(), tell_time);
}

Result<void> Router::Impl::start_control(const config::Config& config) {
  ControlOptions options;
  options.workers = static_cast<unsigned>(cores.size());
  options.adaptive_idle = config.dataplane.idle == config::Idle::adaptive;
  options.tx_wait_us = config.dataplane.tx_wait_us;
  options.fib.pages =
      config.dataplane.hugepages == config::Hugepages::none ? lpm::Pages::transparent : lpm::Pages::automatic;
  options.symmetric_rss = config.dataplane.rss == config::Rss::symmetric;
  options.host_devices = taps.get();
  options.flow_hashing = {std::random_device{}(), config.dataplane.flow_label_hash};
  auto made = Control::make(options, dataplane::router_features());
  if (!made) return Error{made.error()};
  control = std::move(*made);
  control->set_time(monotonic_ns());
  return control->apply(config);
}

void Router::Impl::start_workers() {
  for (unsigned i = 0; i < cores.size(); ++i) worker_threads.push_back({control.get(), i});
  for (unsigned i = 0; i < cores.size(); ++i) {
    rte_eal_remote_launch(run_worker, &worker_threads[i], dataplane::Eal::worker_lcore(i));
  }
}

// Runs `work` between two events of the loop and waits for it. Called on the API thread.
void Router::Impl::on_control(const std::function<void(Control&)>& work) {
  std::mutex mutex;
  std::condition_variable done;
  bool finished = false;
  std::exception_ptr failure;
  asio::post(io, [&] {
    control->set_time(monotonic_ns());
    try {
      work(*control);
    } catch (...) {  // memory, say: the request fails, not the router
      failure = std::current_exception();
    }
    const std::lock_guard lock(mutex);
    finished = true;
    done.notify_one();
  });
  std::unique_lock lock(mutex);
  done.wait(lock, [&] { return finished; });
  if (failure) std::rethrow_exception(failure);
}

void Router::Impl::tick() {
  const auto now = std::chrono::steady_clock::now();
  lag.record(static_cast<std::uint64_t>(std::max<std::int64_t>(0, (now - next_tick).count())));
  control->set_time(monotonic_ns());
  control->tick();
  if (fpm) fpm->poke();
  if (netlink) netlink->poke();
  control->refresh_links();
  next_tick = std::max(next_tick + kTick, now);
  ticker.expires_at(next_tick);
  ticker.async_wait([this](const boost::system::error_code& error) {
    if (!error) tick();
  });
}

// The doorbell rings when a worker finds us asleep; then the rings are emptied, a budget at a time.
void Router::Impl::wait_for_punts() {
  doorbell.async_wait(asio::posix::stream_descriptor::wait_read,
                      [this](const boost::system::error_code& error) {
                        if (error) return;
                        control->doorbell().take();
                        handle_punts();
                      });
}

void Router::Impl::handle_punts() {
  control->set_time(monotonic_ns());
  if (!control->handle_punts(kPuntBudget)) {
    control->doorbell().sleep();
    // What came between the last look and sleep() rang nobody.
    if (!control->handle_punts(kPuntBudget)) return wait_for_punts();
  }
  asio::post(io, [this] { handle_punts(); });
}

// A port on a kernel interface has that one's carrier: at once, not by the next tick.
void Router::Impl::wait_for_links() {
  link_notices.async_wait(asio::posix::stream_descriptor::wait_read,
                          [this](const boost::system::error_code& error) {
                            if (error) return;
                            links->take();
                            control->set_time(monotonic_ns());
                            control->refresh_links();
                            wait_for_links();
                          });
}

void Router::Impl::wait_for_link_bell() {
  link_bell.async_wait(asio::posix::stream_descriptor::wait_read,
                       [this](const boost::system::error_code& error) {
                         if (error) return;
                         control->link_bell().take();
                         control->link_bell().sleep();
                         control->set_time(monotonic_ns());
                         control->refresh_links();
                         wait_for_link_bell();
                       });
}

void Router::Impl::wait_for_host() {
  host.async_wait(asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
    if (!error) handle_host();
  });
}

void Router::Impl::handle_host() {
  control->set_time(monotonic_ns());
  if (!control->handle_host(kHostBudget)) return wait_for_host();
  asio::post(io, [this] { handle_host(); });
}

void Router::Impl::stop() {
  ticker.cancel();
  boost::system::error_code ignored;
  doorbell.cancel(ignored);
  host.cancel(ignored);
  link_notices.cancel(ignored);
  link_bell.cancel(ignored);
  signals.cancel(ignored);
  // A request under way may still need the control thread: serve it until the API has ended.
  server->stop([this] {
    io.restart();
    io.run_for(std::chrono::milliseconds(1));
  });
  server.reset();
  if (fpm) fpm->stop();
  if (netlink) netlink->stop();
  doorbell.release();  // the descriptors are others'
  host.release();
  link_notices.release();
  link_bell.release();
  for (std::size_t i = 0; i < control->worker_count(); ++i) control->worker(i).request_stop();
  rte_eal_mp_wait_lcore();
}

Router::Router(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Router::~Router() = default;

Result<std::unique_ptr<Router>> Router::start(const config::Config& config, const std::string& config_file,
                                              HostNetns& netns) {
  auto impl = std::make_unique<Impl>();
  impl->netns = &netns;
  if (auto started = impl->start(config, config_file); !started) return Error{started.error()};
  return std::unique_ptr<Router>(new Router(std::move(impl)));
}

void Router::run() {
  Impl& r = *impl_;
  r.signals.async_wait([&r](const boost::system::error_code& error, int signal) {
    if (error) return;
    spdlog::info("signal {}: stopping", signal);
    r.io.stop();
  });
  r.doorbell.assign(r.control->doorbell().fd());
  r.next_tick = std::chrono::steady_clock::now();
  r.host.assign(r.control->host()->fd());
  r.wait_for_punts();
  r.wait_for_host();
  r.link_notices.assign(r.links->fd());
  r.wait_for_links();
  r.link_bell.assign(r.control->link_bell().fd());
  r.wait_for_link_bell();
  r.start_feeds();
  r.tick();
  spdlog::info("millraced {} is up: {} worker(s), {} interface(s), {} route(s)", MILLRACE_VERSION,
               r.cores.size(), r.control->desired().interfaces.size(), r.control->prefixes());
  sd_notify(0, "READY=1");
  r.io.run();
  sd_notify(0, "STOPPING=1");
  r.stop();
}

}  // namespace millrace::controlplane

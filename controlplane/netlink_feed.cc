#include "controlplane/netlink_feed.h"

#include <linux/netlink.h>
#include <spdlog/spdlog.h>

#include <cerrno>
#include <cstring>

namespace millrace::controlplane {
namespace {

constexpr std::uint64_t kMillisecondNs = 1'000'000;
constexpr std::uint64_t kSettleNs = 20 * kMillisecondNs;   // links often go together
constexpr std::uint64_t kDoubtNs = 1000 * kMillisecondNs;  // a route that does not fit is no hurry
constexpr std::uint64_t kRetryNs = 1000 * kMillisecondNs;
constexpr std::uint64_t kLongestPauseNs = 10'000 * kMillisecondNs;
constexpr unsigned kAttempts = 4;

constexpr std::string_view kStepNames[] = {"links", "next hops", "IPv4 routes", "IPv6 routes"};

// Kernels without next-hop objects or IPv6, and tables that have no route yet.
bool has_none(KernelDump what, int error) {
  return what != KernelDump::links && (error == EOPNOTSUPP || error == EAFNOSUPPORT || error == ENOENT);
}

}  // namespace

NetlinkFeed::NetlinkFeed(const FeedTables& tables, const FeedRules& rules, HasInterface has_interface)
    : rules_(rules),
      has_interface_(std::move(has_interface)),
      routes_(with_links(tables), RouteSource::netlink, rules) {}

FeedTables NetlinkFeed::with_links(FeedTables tables) {
  tables.interface_of = [this](std::uint32_t index) {
    std::string name = links_.name(index);
    return has_interface_(name) ? name : std::string();
  };
  return tables;
}

void NetlinkFeed::set_state(State state) {
  state_ = state;
  since_ns_ = now_ns_;
}

// One that goes on is finished first: what it did not find is gone in any case.
void NetlinkFeed::ask_for_resync(const char* why, std::uint64_t delay_ns) {
  spdlog::debug("feed {}: a resync is due: {}", kName, why);
  const std::uint64_t at = now_ns_ + delay_ns;
  due_ns_ = std::min(due_ns_.value_or(at), at);
}

void NetlinkFeed::begin_resync() {
  if (state_ == State::up) {
    ++resyncs_;
    set_state(State::resyncing);
  }
  due_ns_.reset();
  began_ns_ = now_ns_;
  overrun_ = false;
  attempts_ = 0;
  step_ = KernelDump::links;
  links_.next_round();
  routes_.begin_resync();
}

void NetlinkFeed::end_resync() {
  if (state_ == State::syncing)
    spdlog::info("feed {}: table {} has {} route(s)", kName, rules_.table, routes_.routes());
  step_.reset();
  routes_.end_resync();
  not_before_ns_ = now_ns_ + std::min(now_ns_ - began_ns_, kLongestPauseNs);
  set_state(State::up);
}

// Nothing is swept, and it is tried again.
void NetlinkFeed::give_up(const std::string& why) {
  spdlog::error("feed {}: {}", kName, why);
  last_error_ = why;
  awaits_answer_ = false;
  step_.reset();
  routes_.end_dump();
  ask_for_resync("the last one failed", kRetryNs);
}

std::vector<std::uint8_t> NetlinkFeed::next_request() {
  if (awaits_answer_) return {};
  if (!step_) {
    if (!due_ns_ || now_ns_ < std::max(*due_ns_, not_before_ns_)) return {};
    begin_resync();
  }
  awaits_answer_ = true;
  interrupted_ = disturbed_ = false;
  if (*step_ == KernelDump::ipv4_routes || *step_ == KernelDump::ipv6_routes) routes_.begin_dump();
  return dump_request(*step_, rules_.table, ++sequence_);
}

void NetlinkFeed::messages_lost() {
  last_error_ = "the kernel's messages came faster than they were read (ENOBUFS)";
  spdlog::warn("feed {}: {}", kName, last_error_);
  overrun_ = true;
  if (!step_) ask_for_resync("messages were lost", 0);
}

void NetlinkFeed::set_queued(std::size_t bytes) {
  if (queued_ == 0) behind_since_ns_ = now_ns_;
  max_lag_ns_ = std::max(max_lag_ns_, lag_ns());
  queued_ = bytes;
}

// One by one, so that a message that we do not understand costs no other.
void NetlinkFeed::receive(std::span<const std::uint8_t> bytes) {
  while (!bytes.empty()) {
    nlmsghdr header{};
    std::memcpy(&header, bytes.data(), std::min(sizeof header, bytes.size()));
    const std::size_t length = NLMSG_ALIGN(std::size_t{header.nlmsg_len});
    const bool is_length = length >= sizeof header && length < bytes.size();
    const auto one = bytes.first(is_length ? length : bytes.size());
    bytes = bytes.subspan(one.size());
    const std::size_t before = batch_.size();
    if (auto parsed = parse_netlink(one, batch_); !parsed) routes_.fail(parsed.error());
    if (batch_.size() != before) take_last();
  }
  apply_batch();
}

// Routes and next hops are applied together; what else there is comes after those before it.
void NetlinkFeed::take_last() {
  note(batch_.back());
  const bool is_of_routes = std::holds_alternative<NetlinkRoute>(batch_.back()) ||
                            std::holds_alternative<NetlinkNextHop>(batch_.back());
  if (is_of_routes) return;
  const NetlinkMessage message = std::move(batch_.back());
  batch_.pop_back();
  if (std::holds_alternative<NetlinkOther>(message)) return;
  apply_batch();
  if (const auto* link = std::get_if<NetlinkLink>(&message)) take(*link);
  if (const auto* address = std::get_if<NetlinkAddress>(&message)) take(*address);
  if (const auto* done = std::get_if<NetlinkDone>(&message)) take(*done);
}

void NetlinkFeed::apply_batch() {
  routes_.apply(batch_);
  batch_.clear();
  if (routes_.take_doubt()) ask_for_resync("a removal that does not fit", kDoubtNs);
}

// When routes of IPv6 go while it is dumped, the kernel may pass over others, and does not say so
// (fib6_dump_table: after a change it begins anew, and leaves out as many as it has said).
void NetlinkFeed::note(const NetlinkMessage& message) {
  constexpr unsigned kBroken = NLM_F_MULTI | NLM_F_DUMP_INTR;
  if ((flags_of(message) & kBroken) == kBroken) interrupted_ = true;
  const auto* route = std::get_if<NetlinkRoute>(&message);
  if (route == nullptr || !route->remove || route->table != rules_.table) return;
  disturbed_ |= step_ == KernelDump::ipv6_routes && std::holds_alternative<Ipv6Prefix>(route->prefix);
}

void NetlinkFeed::take(const NetlinkLink& link) {
  const KernelLinks::News news = links_.put(link);
  if (news == KernelLinks::News::none) return;
  const bool concerns_us = step_ || routes_.uses_link(link.index);
  if (news == KernelLinks::News::lost) routes_.link_lost(link.index);
  if (concerns_us) ask_for_resync("a link changed", kSettleNs);
}

// With the last one of a link all IPv4 routes by it go, and with any one those that have it as their source.
void NetlinkFeed::take(const NetlinkAddress& address) {
  if (address.remove) ask_for_resync("an address went", kSettleNs);
}

void NetlinkFeed::take(const NetlinkDone& done) {
  if (!awaits_answer_ || done.sequence != sequence_) return;
  const std::string what(kStepNames[static_cast<std::size_t>(*step_)]);
  if (done.error != 0 && !has_none(*step_, done.error))
    return give_up("the kernel does not tell its " + what + ": " + std::strerror(done.error));
  awaits_answer_ = false;
  routes_.end_dump();
  if (overrun_) {
    step_.reset();
    return ask_for_resync("messages were lost", 0);
  }
  if ((interrupted_ || disturbed_) && ++attempts_ < kAttempts) return;  // the same once more
  // What one of the dumps has said is confirmed. Where the kernel itself is not content, that is not enough.
  if (interrupted_) return give_up("the kernel's " + what + " change all the time");
  finish_step();
}

void NetlinkFeed::finish_step() {
  attempts_ = 0;
  switch (*step_) {
    case KernelDump::links:
      for (const std::uint32_t index : links_.remove_stale()) routes_.link_lost(index);
      step_ = KernelDump::next_hops;
      break;
    case KernelDump::next_hops:
      routes_.next_hops_are_complete();
      step_ = KernelDump::ipv4_routes;
      break;
    case KernelDump::ipv4_routes:
      step_ = KernelDump::ipv6_routes;
      break;
    case KernelDump::ipv6_routes:
      end_resync();
      break;
  }
}

}  // namespace millrace::controlplane

#include "perf/generator/trial.h"

#include <rte_cycles.h>

#include <algorithm>
#include <stdexcept>

namespace millrace::perf {
namespace {

Stream stream_of(const DirectionRequest& request, const Host& host) {
  if (!host.gateway_mac())
    throw std::runtime_error("the device's MAC is not known: it did not answer ARP or neighbour discovery");
  return {host.port().mac(),    *host.gateway_mac(), host.address(),
          request.destinations, request.flows,       request.sizes};
}

std::uint64_t expected_frames(const std::vector<Phase>& phases) {
  std::uint64_t sum = 0;
  for (const Phase& phase : phases)
    sum += phase.frames != 0
               ? phase.frames
               : static_cast<std::uint64_t>(phase.frames_per_tick * static_cast<double>(phase.ticks));
  return sum;
}

// RFC 2544 C.2.2's body, once in every buffer that a frame may be made in.
void fill_bodies(rte_mempool* pool, FrameMaker& of) {
  const auto fill = [](rte_mempool*, void* argument, void* object, unsigned) {
    auto* frame = static_cast<rte_mbuf*>(object);
    const auto& frames = *static_cast<const FrameMaker*>(argument);
    rte_pktmbuf_reset(frame);
    frames.fill_body({rte_pktmbuf_mtod(frame, std::byte*), frames.max_size()});
  };
  rte_mempool_obj_iter(pool, fill, &of);
}

// Hands what came in at one port to the directions that end there.
class Receiver {
 public:
  Receiver(Host& host, unsigned port, std::uint8_t trial) : host_(host), port_(port), trial_(trial) {}

  void add(unsigned direction, unsigned to, Sender& sender) { ends_.push_back({direction, to, &sender}); }

  void step() {
    std::array<rte_mbuf*, kBurst> frames;
    const std::uint16_t count = host_.port().receive(frames);
    if (count == 0) return;
    const std::uint64_t now = rte_rdtsc();
    for (std::uint16_t i = 0; i < count; ++i) take(*frames[i], now);
    rte_pktmbuf_free_bulk(frames.data(), count);
  }

 private:
  struct End {
    unsigned direction;
    unsigned to;
    Sender* sender;
  };

  void take(const rte_mbuf& frame, std::uint64_t now) {
    const auto* bytes = rte_pktmbuf_mtod(&frame, const std::byte*);
    for (const End& end : ends_) {
      const FrameMaker& frames = end.sender->frames();
      if (frame.data_len < frames.min_size()) continue;
      const Stamp stamp = Stamp::read(bytes + frames.header_bytes());
      if (!stamp.is(end.direction, trial_)) continue;
      DirectionResult& result = end.sender->result();
      if (end.to == port_ && stamp.sequence < result.tracker.sent_frames() &&
          frames.matches({bytes, frame.data_len}, stamp.sequence))
        result.tracker.arrived(stamp.sequence, stamp.age(now), now);
      else
        ++result.wrong;
      return;
    }
    host_.handle(frame);
  }

  Host& host_;
  unsigned port_;
  std::uint8_t trial_;
  std::vector<End> ends_;
};

}  // namespace

Sender::Sender(const DirectionRequest& request, unsigned direction, std::uint8_t trial, Refused refused,
               Host& host)
    : frames_(stream_of(request, host), direction),
      phases_(request.phases),
      trial_(trial),
      refused_(refused),
      port_(host.port()),
      result_{.tracker = Tracker(expected_frames(request.phases), frames_.flows(), request.tagged)} {
  fill_bodies(port_.tx_pool(), frames_);
}

Sender::~Sender() {
  rte_pktmbuf_free_bulk(waiting_.data(), waiting_count_);
}

void Sender::start(std::uint64_t now) {
  pacer_ = std::make_unique<Pacer>(phases_, now);
  result_.begin = result_.end = now;
}

bool Sender::step(std::uint64_t now) {
  if (waiting_count_ != 0) {
    settle(port_.transmit({waiting_.data(), waiting_count_}), now);
    return true;
  }
  const std::uint64_t count = pacer_->due(now);
  if (pacer_->over()) {
    result_.phase_ends = pacer_->ends();
    result_.late = pacer_->late();
    return false;
  }
  if (count != 0) send(std::min<std::uint64_t>(count, kBurst), now);
  return true;
}

void Sender::send(std::uint64_t count, std::uint64_t now) {
  waiting_count_ = static_cast<std::uint16_t>(count);
  // Nothing is sent where buffers are short: those in the port's queue come back, and the frames stay due.
  if (rte_pktmbuf_alloc_bulk(port_.tx_pool(), waiting_.data(), waiting_count_) != 0) {
    waiting_count_ = 0;
    return;
  }
  for (std::uint16_t i = 0; i < waiting_count_; ++i) {
    const std::uint32_t number = next_++;
    rte_mbuf* frame = waiting_[i];
    frame->data_len = static_cast<std::uint16_t>(frames_.size(number));
    frame->pkt_len = frame->data_len;
    frames_.write_head(rte_pktmbuf_mtod(frame, std::byte*), number, trial_, now);
    result_.tracker.sent(number, now);
  }
  pacer_->take(count);
  settle(port_.transmit({waiting_.data(), waiting_count_}), now);
}

void Sender::settle(std::uint16_t taken, std::uint64_t now) {
  const auto left = static_cast<std::uint16_t>(waiting_count_ - taken);
  std::copy_n(waiting_.begin() + taken, left, waiting_.begin());
  waiting_count_ = left;
  if (taken != 0 || refused_ == Refused::lost) result_.end = now;
  if (refused_ == Refused::lost) {
    result_.refused += left;
    rte_pktmbuf_free_bulk(waiting_.data(), left);
    waiting_count_ = 0;
  }
}

std::vector<DirectionResult> run_trial(const TrialRequest& request, std::uint8_t trial,
                                       std::vector<Host>& hosts) {
  std::vector<std::unique_ptr<Sender>> senders;
  std::vector<Receiver> receivers;
  for (unsigned port = 0; port < hosts.size(); ++port) receivers.emplace_back(hosts[port], port, trial);
  for (unsigned i = 0; i < request.directions.size(); ++i) {
    const DirectionRequest& direction = request.directions[i];
    senders.push_back(
        std::make_unique<Sender>(direction, i, trial, request.refused, hosts.at(direction.from)));
    for (Receiver& receiver : receivers) receiver.add(i, direction.to, *senders.back());
  }
  for (const auto& sender : senders) sender->start(rte_rdtsc());
  std::uint64_t quiet_since = 0;
  for (std::uint64_t now = rte_rdtsc(); quiet_since == 0 || now - quiet_since < request.drain_ticks;
       now = rte_rdtsc()) {
    bool sending = false;
    for (const auto& sender : senders) sending |= sender->step(now);
    if (!sending && quiet_since == 0) quiet_since = now;
    for (Receiver& receiver : receivers) receiver.step();
  }
  std::vector<DirectionResult> results;
  for (const auto& sender : senders) results.push_back(std::move(sender->result()));
  return results;
}

}  // namespace millrace::perf

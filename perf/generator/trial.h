// One trial: frames go out of some ports at their rates and come in at others, and all of them are accounted
// for.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "perf/generator/frame_maker.h"
#include "perf/generator/host.h"
#include "perf/generator/pacer.h"
#include "perf/generator/tracker.h"

namespace millrace::perf {

// What a frame is that the port does not take: of a memory interface, one that the device under test was too
// slow for, so it is lost; of a NIC, one that has to wait for the line.
enum class Refused { lost, waits };

struct DirectionRequest {
  unsigned from = 0, to = 1;  // ports
  std::vector<IpAddress> destinations;
  std::uint32_t flows = 1;
  std::vector<std::uint16_t> sizes;
  std::vector<Phase> phases;
  std::uint32_t tagged = 1000;
};

struct TrialRequest {
  std::vector<DirectionRequest> directions;
  std::uint64_t drain_ticks = 0;  // RFC 2544 §23: how long one waits for the last frames
  Refused refused = Refused::lost;
};

struct DirectionResult {
  Tracker tracker;
  std::uint64_t refused = 0;
  std::uint64_t late = 0;   // frames that the generator was too late for, and did not send
  std::uint64_t wrong = 0;  // arrived, but not as they were sent, or at the wrong port
  std::uint64_t begin = 0, end = 0;
  std::vector<std::uint64_t> phase_ends;
};

// Sends the frames of one direction.
class Sender {
 public:
  Sender(const DirectionRequest& request, unsigned direction, std::uint8_t trial, Refused refused,
         Host& host);
  ~Sender();
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;

  void start(std::uint64_t now);
  // False when all is sent.
  bool step(std::uint64_t now);
  [[nodiscard]] const FrameMaker& frames() const { return frames_; }
  DirectionResult& result() { return result_; }

 private:
  void send(std::uint64_t count, std::uint64_t now);
  void settle(std::uint16_t taken, std::uint64_t now);

  FrameMaker frames_;
  std::vector<Phase> phases_;
  std::uint8_t trial_;
  Refused refused_;
  Port& port_;
  std::unique_ptr<Pacer> pacer_;
  std::uint32_t next_ = 0;  // the number of the next frame to be made
  std::array<rte_mbuf*, kBurst> waiting_{};
  std::uint16_t waiting_count_ = 0;
  DirectionResult result_;
};

std::vector<DirectionResult> run_trial(const TrialRequest& request, std::uint8_t trial,
                                       std::vector<Host>& hosts);

}  // namespace millrace::perf

// The generator's requests and answers, one JSON object a line. Times are seconds, delays nanoseconds; only
// here are they made into ticks and back.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "perf/generator/trial.h"

namespace millrace::perf {

// {"drain": S, "refused": "lost"|"waits", "directions": [{"from": 0, "to": 1, "destinations": [ADDRESS...] or
//   "destinations_file": PATH, "flows": N, "sizes": [BYTES...], "tagged": N,
//   "phases": [{"rate": FRAMES/S, "seconds": S} or {"rate": FRAMES/S, "frames": N}...]}...]}
// Throws std::exception where it makes no sense.
TrialRequest trial_request(const nlohmann::json& request, double ticks_per_second);

nlohmann::json trial_answer(const std::vector<DirectionResult>& results, double ticks_per_second);

}  // namespace millrace::perf

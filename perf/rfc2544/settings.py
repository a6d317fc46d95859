"""How long and how often, by --quick, --full and the default between them."""

import dataclasses

from .mlrsearch import Goal

RFC_SIZES = ("64", "128", "256", "512", "1024", "1280", "1518")  # RFC 2544 9.1


@dataclasses.dataclass(frozen=True)
class Settings:
    sizes: tuple
    trial: float  # seconds of a throughput or loss trial
    latency_trial: float
    latency_repeats: int
    latency_loads: tuple  # shares of the throughput
    precision: float  # of a throughput, relative to the upper bound
    burst_repeats: int
    overload: float  # seconds of the overload before recovery, and of what follows
    reset: float  # seconds of a reset trial
    learn_seconds: float
    settle: float  # section 23: before and after a trial
    drain: float  # and for the last frames
    attempts: int  # at a trial that the generator was late in
    tolerance: float  # share of the frames that it may be late with; a machine that is shared would never come to an end
    goals: tuple  # of MLRsearch
    mlr_sizes: tuple
    latency_sizes: tuple  # RFC 2544 26.2 wants all; a reader of a quick report two
    loss_sizes: tuple


QUICK = Settings(
    sizes=("64", "512", "1518", "IMIX"), trial=0.3, latency_trial=0.5, latency_repeats=3, latency_loads=(1.0, 0.5),
    precision=0.05, burst_repeats=3, overload=0.5, reset=5.0, learn_seconds=5, settle=0.02, drain=0.05, attempts=2,
    tolerance=0.5,
    goals=(Goal("NDR", 0.0, 0.5, 0.2, 0.8, 0.05, 0.1), Goal("PDR", 0.005, 0.5, 0.2, 0.8, 0.05, 0.1)),
    mlr_sizes=("64",), latency_sizes=("64", "1518"), loss_sizes=("64",))

NORMAL = Settings(
    sizes=(*RFC_SIZES, "IMIX"), trial=2.0, latency_trial=5.0, latency_repeats=5, latency_loads=(1.0, 0.9, 0.5, 0.1),
    precision=0.01, burst_repeats=10, overload=5.0, reset=10.0, learn_seconds=10, settle=0.2, drain=0.5, attempts=3,
    tolerance=0.05,
    goals=(Goal("NDR", 0.0, 0.5, 1.0, 5.0, 0.01, 0.25), Goal("PDR", 0.005, 0.5, 1.0, 5.0, 0.01, 0.25)),
    mlr_sizes=("64", "IMIX"), latency_sizes=(*RFC_SIZES, "IMIX"), loss_sizes=("64", "512", "1518", "IMIX"))

# RFC 2544: trials of 60 s, two seconds' wait for frames, five to settle; latency 20 times over 120 s; RFC 9004: 50
# bursts. RFC 9971: the NDR and PDR goals of FD.io, and the one that is RFC 2544's throughput.
FULL = Settings(
    sizes=(*RFC_SIZES, "IMIX"), trial=60.0, latency_trial=120.0, latency_repeats=20, latency_loads=(1.0, 0.9, 0.5, 0.1),
    precision=0.005, burst_repeats=50, overload=60.0, reset=30.0, learn_seconds=30, settle=2.0, drain=2.0, attempts=3,
    tolerance=0.001,
    goals=(Goal("NDR", 0.0, 0.5, 1.0, 21.0, 0.005), Goal("PDR", 0.005, 0.5, 1.0, 21.0, 0.005),
           Goal("RFC 2544", 0.0, 0.0, 60.0, 60.0, 0.005, 1.0)),
    mlr_sizes=(*RFC_SIZES, "IMIX"), latency_sizes=(*RFC_SIZES, "IMIX"), loss_sizes=(*RFC_SIZES, "IMIX"))

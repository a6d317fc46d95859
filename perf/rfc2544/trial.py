"""What is sent in a trial, what came of it, and the interface that every engine has."""

import dataclasses

FCS = 4
LEAST = {False: 64, True: 78}  # bytes that a frame has at least, with FCS, by whether it is IPv6: headers and stamp
LATE = 0.01  # share of the frames that were not offered in time, above which a reader wants to know
GAP = 20  # preamble, start of frame and the gap between frames: bytes of the line that no frame has


def imix(ipv6=False):
    """Simple IMIX: 7 of the least frames, 4 of 594 bytes and 1 of 1518, spread evenly; all with their FCS."""
    least = LEAST[ipv6]
    return (least, 594, least, least, 594, least, least, 594, least, 1518, least, 594)


def network_of(port, number, ipv6):
    """(prefix, its host 2) of a network behind a port; 0 is the one between tester and device. RFC 2544 C.2.1:
    198.18.x and 198.19.x; RFC 5180 8: in 2001:2::/48."""
    if ipv6:
        return f"2001:2:0:{18 + port}{number:02x}::/64", f"2001:2:0:{18 + port}{number:02x}::2"
    return f"198.{18 + port}.{number}.0/24", f"198.{18 + port}.{number}.2"


def line_rate(sizes, bits_per_second):
    """Frames a second that a line carries at most: RFC 2544 appendix B."""
    return bits_per_second / (8 * (sum(sizes) / len(sizes) + GAP))


class Failure(Exception):
    """The measurement cannot go on; the text is for the user."""


@dataclasses.dataclass(frozen=True)
class Traffic:
    """Frames of one or both ways. Sizes are with the FCS, and are taken in turn."""

    name: str  # "64", "IMIX"
    sizes: tuple
    ways: tuple  # (from port, to port) each
    networks: int = 1  # destinations: one host in each of so many networks behind the far port
    flows: int = 1
    destinations_file: str | None = None  # instead: addresses as they lie on the wire, for the way out of port 0
    ipv6: bool = False

    def destinations(self, to):
        return [network_of(to, number, self.ipv6)[1] for number in range(1, self.networks + 1)]

    @property
    def mean_size(self):
        return sum(self.sizes) / len(self.sizes)


@dataclasses.dataclass(frozen=True)
class Phase:
    """A stretch of one rate (frames a second, each way; 0: as fast as it goes), for a time or a number of frames."""

    rate: float
    seconds: float = 0.0
    frames: int = 0


@dataclasses.dataclass
class Latency:
    """Delays in nanoseconds."""

    minimum: float
    mean: float
    maximum: float
    histogram: list  # (at least, count) in order
    tagged: list  # single frames, evenly spread over the trial (RFC 8219 7.2 wants 500)


@dataclasses.dataclass
class WayResult:
    """One direction. `lost` are the frames that were sent and never came; `refused` are those of them that the port
    did not take, `late` were never sent because the generator was not in time."""

    sent: int
    received: int
    lost: int
    refused: int
    late: int
    duplicates: int
    reordered: int
    wrong: int
    seconds: float
    phase_ends: list
    last_lost_sent_at: float | None
    longest_gap: tuple | None
    latency: Latency | None


class TrialResult:
    """A trial as the searches see it: loads and losses over all directions.

    `rate` is the intended load, frames a second each way; where the generator was late with more than `tolerance` of the
    frames, the load was not offered, and what is missing counts as lost: no device is said to have forwarded what nobody
    sent.
    """

    def __init__(self, rate, seconds, ways, tolerance=0.01):
        self.rate, self.seconds, self.ways, self.tolerance = rate, seconds, ways, tolerance

    def _sum(self, name):
        return sum(getattr(way, name) for way in self.ways)

    sent = property(lambda self: self._sum("sent"))
    received = property(lambda self: self._sum("received"))
    lost = property(lambda self: self._sum("lost"))
    refused = property(lambda self: self._sum("refused"))
    late = property(lambda self: self._sum("late"))
    duplicates = property(lambda self: self._sum("duplicates"))
    reordered = property(lambda self: self._sum("reordered"))
    wrong = property(lambda self: self._sum("wrong"))

    @property
    def intended(self):
        return self.sent + self.late

    @property
    def late_ratio(self):
        return self.late / self.intended if self.intended else 1.0

    @property
    def rate_reached(self):
        """For a reader; a search goes by its tolerance."""
        return self.late_ratio <= LATE

    @property
    def offered_as_intended(self):
        return self.late_ratio <= self.tolerance

    @property
    def loss_of_offered(self):
        """RFC 2544 26.3: of what was sent, what did not come. Frames that came back other than they were sent count, too.
        A trial that sent nothing lost all."""
        return (self.lost + self.wrong) / self.sent if self.sent else 1.0

    @property
    def shortfall(self):
        """Of what was asked for, what did not come."""
        return (self.lost + self.wrong + self.late) / self.intended if self.intended else 1.0

    @property
    def loss_ratio(self):
        return self.loss_of_offered if self.offered_as_intended else self.shortfall

    @property
    def offered(self):
        """Frames a second each way that the device was really offered."""
        return sum(way.sent / way.seconds for way in self.ways if way.seconds > 0) / len(self.ways)

    @property
    def forwarded(self):
        return sum(way.received / way.seconds for way in self.ways if way.seconds > 0) / len(self.ways)

    def latencies(self):
        return [way.latency for way in self.ways if way.latency]


class Engine:
    """Sends and receives. Rates are frames a second in each direction."""

    name = ""
    version = ""
    tells_when = True  # frames were lost, which recovery and reset are about

    def learn(self, seconds):
        """Learning frames, and the MACs of the device; Failure where it does not answer."""
        raise NotImplementedError

    def start(self, traffic, phases, drain):
        """Begins a trial."""
        raise NotImplementedError

    def finish(self):
        """Waits for the trial that was started: a list of WayResult."""
        raise NotImplementedError

    def close(self):
        raise NotImplementedError

    def process_ids(self):
        """Its processes on this machine, whose share of the cores is watched."""
        return []

    def trial(self, traffic, phases, drain):
        self.start(traffic, phases, drain)
        return self.finish()

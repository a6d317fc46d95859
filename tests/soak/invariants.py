"""What has to hold while a router runs, each with its name; `Broken` says which one did not."""

import http.client
import os
import pathlib
import time

ANSWER_SECONDS = 30  # of the API, beside churn and reloads: more is a hang; the slowest answer is reported
IN_FLIGHT = 1024  # packets between two counters while traffic runs: bursts and the control thread's ring
PROBE_SECONDS = 3  # until the last probe has come out, and the last ping been answered


class Broken(Exception):
    def __init__(self, invariant, detail):
        super().__init__(f"{invariant}: {detail}")


class Watch:
    """Looks at one router; `disturbances` end the soak when one of them fails."""

    def __init__(self, router, disturbances):
        self.router, self.disturbances = router, disturbances
        self.slowest_answer = 0.0

    def look(self):
        """Every second, under traffic. The status."""
        self.alive()
        for disturbance in self.disturbances:
            if disturbance.error:
                self._settle_death()
                raise Broken(f"{disturbance.name} goes on", disturbance.error)
        status = self._answer()
        difference = status["accounting"]["difference"]
        if abs(difference) > IN_FLIGHT:
            raise Broken("accounting adds up", f"{difference} packets more came than went: {status['accounting']}")
        return status

    def _settle_death(self):
        """A daemon that dies closes its sockets a moment before it is gone: then that is what broke."""
        for _ in range(40):
            self.alive()
            time.sleep(0.05)

    def alive(self):
        if not self.router.alive:
            raise Broken("millraced is alive", f"it ended\n{self.router.log[-4000:]}")

    def _answer(self):
        started = time.monotonic()
        try:
            status = self.router.get("/v1/status")
        except (OSError, http.client.HTTPException, AssertionError) as error:
            self._settle_death()
            raise Broken("the API answers", error) from error
        took = time.monotonic() - started
        self.slowest_answer = max(self.slowest_answer, took)
        if took > ANSWER_SECONDS:
            raise Broken("the API answers", f"only after {took:.1f} s")
        return status

    def settled(self):
        """When nothing is sent any more: exact sums, and every buffer is back."""
        self.alive()
        try:
            self.router.check_settled()
        except AssertionError as error:
            raise Broken("no packet and no mbuf is lost", error) from error


class Flat:
    """A quantity that may not grow beyond `slack` over its first value."""

    def __init__(self, name, slack, unit=""):
        self.name, self.slack, self.unit = name, slack, unit
        self.first = self.last = None

    def see(self, value):
        self.last = value
        if self.first is None:
            self.first = value
        if value > self.first + self.slack:
            raise Broken(f"{self.name} stays flat", f"{self.first}{self.unit} became {value}{self.unit}")

    def __str__(self):
        return f"{self.name} {self.first}{self.unit} -> {self.last}{self.unit}"


def resident_kib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise Broken("millraced is alive", f"process {pid} has no memory")


def descriptors(pid):
    """How many are open once the API has closed those of clients that went: the fewest within a second."""
    counts = []
    for _ in range(20):
        counts.append(len(os.listdir(f"/proc/{pid}/fd")))
        time.sleep(0.05)
    return min(counts)


def check_probes(probes):
    deadline = time.monotonic() + PROBE_SECONDS
    while probes.outstanding and time.monotonic() < deadline:
        time.sleep(0.05)
    if probes.outstanding:
        raise Broken("no forwarded packet is lost",
                     f"{len(probes.outstanding)} of {probes.sent} probes, the first {min(probes.outstanding)}")
    if probes.wrong:
        raise Broken("packets go to their next hop", "; ".join(probes.wrong[:5]))


def check_bulk(bulk):
    deadline = time.monotonic() + bulk.SECONDS
    while not bulk.is_whole and time.monotonic() < deadline:
        time.sleep(0.05)
    if not bulk.is_whole:
        raise Broken("TCP arrives whole", f"{bulk.sent:,} bytes sent, {bulk.received:,} received")


def check_pings(pinger, first, end):
    """Those from `first` on and before `end` have been answered."""
    deadline = time.monotonic() + PROBE_SECONDS
    while (lost := pinger.unanswered(first, end)) and time.monotonic() < deadline:
        time.sleep(0.05)
    if lost:
        raise Broken("no forwarded packet is lost", f"{len(lost)} of {end - first} pings, the first {lost[0]}")


def check_routes(router, routes, owned, samples):
    """The router's table is the oracle's, and `owned` routes more."""
    present = router.get("/v1/routes?source=api&limit=1")["total"]
    if present != len(routes) + owned:
        raise Broken("the table is what it was told", f"{present} routes instead of {len(routes) + owned}")
    for address, (prefix, hops) in routes.samples(samples):
        answer = router.get(f"/v1/fib/lookup?address={address}")
        found = {member["address"] for member in answer.get("adjacencies", [])}
        if answer.get("prefix") != prefix or found != hops:
            raise Broken("the table is what it was told", f"{address}: {answer}, expected {prefix} via {sorted(hops)}")

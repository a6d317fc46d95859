"""Routes from real daemons, as many as there are: the parts `replay/…` and `bgp/…` of perf/routes.py.

zebra says its whole table over FPM to millraced and, in turn with it, to a reader that discards; the same frames are
said once more by a sender of ours. A recorded full feed and recorded churn come to bgpd over BGP. All the while packets
go through the router by routes that do not change, and each that is lost is counted.
"""

import contextlib
import os
import pathlib
import socket
import sys
import threading
import time

import bgp_replay
import forward_cases
import subjects
from stream import Child, Ended, Stream

ROOT = subjects.ROOT
os.environ.setdefault("MILLRACE_BUILD", str(subjects.BUILD))
sys.path.insert(0, str(ROOT / "tests/system"))
import replay_bed  # noqa: E402
from basics import wait_for  # noqa: E402
from lab import Lab  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
FEED = ROOT / "tests/data/fullfeed-20151023.bgp4mp_et.mrt.gz"
CHURN = ROOT / "tests/data/updates.20160811.1600.gz"
CHURN_TIMES_FASTER = 10
LIMIT_SECONDS = 600  # for anything of a daemon: a hang ends here
MEMORY_MB = 700  # that a router with all routes may take
BACK_SECONDS = 10  # that a router with all routes may be gone once it is started
FPM_RATIO = 2  # of the time of a reader that discards
BEHIND_SECONDS = 1  # bgpd
APPLIED_SECONDS = 0.1  # from a removal's bytes being read until nothing is forwarded by the route
NICE = -10  # of the worker: on a machine of two cores it shares its core with the daemons
STEADY = replay_bed.STEADY.replace(".0/24", ".1")
OF_FEED = replay_bed.OF_FEED.replace(".0/24", ".1")
CASES = {"replay": ["replay/fpm", "replay/fpm-again", "replay/fpm-frames", "replay/killed", "replay/peak-memory", "replay/lost"],
         "feed": ["bgp/feed", "bgp/feed-behind", "bgp/feed-lost", "bgp/feed-memory"],
         "churn": ["bgp/churn", "bgp/churn-lost"],
         "timed": ["bgp/feed-timed", "bgp/feed-timed-behind", "bgp/feed-timed-lost"]}


def step(text):
    """What takes minutes says where it is."""
    print(f"  {time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def stream_through(bed, *destinations):
    return Stream(bed.inside, [bed.outside], *destinations)


class Losses:
    """What streams said, added up."""

    def __init__(self):
        self.found = []

    def row(self, case):
        lost, sent = ([sum(each[what].values()) for each in self.found] for what in ("lost", "sent"))
        gap = max(each["longest_gap_ms"] for each in self.found)
        return {"case": case, "subject": "millrace", "value": sum(lost), "unit": "packets", "runs": lost, "sent": sum(sent),
                "longest_gap_ms": round(gap, 1),
                "notes": f"of {sum(sent):,} by unchanged routes; the longest time without one was {gap:.0f} ms"}


def favour(router, threads=""):
    """Threads of this name do not wait for the other programs here, which would be on other machines."""
    for task in pathlib.Path(f"/proc/{router.pid}/task").iterdir():
        if threads in task.joinpath("comm").read_text():
            os.setpriority(os.PRIO_PROCESS, int(task.name), NICE)


def start_router(bed):
    bed.router.start()
    favour(bed.router, "worker")


def peak_mb(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) * 1024 / 1e6


def poll(condition, seconds, what, pause=0.02):
    """Returns when it held first."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise subjects.Failure(f"not within {seconds} s: {what()}")
        time.sleep(pause)
    return time.monotonic()


# --- replay/: zebra's whole table over FPM

class FpmReplay:
    """All tables in one zebra, which says them to whom it is told to."""

    def __init__(self, lab, table4, table6, next_hops, work):
        self.bed = replay_bed.Bed(lab, next_hops)
        self.record = work / "frames"
        hop = subjects.Millrace.next_hop
        self.routes = [(prefix, hop(index % next_hops, ipv)) for ipv, path in ((4, table4), (6, table6))
                       for prefix, index in forward_cases.read_table(path)] + [(replay_bed.OF_FEED, hop(0))]
        self.seconds = {(case, subject): [] for case in ("fpm", "fpm-again", "fpm-frames") for subject in ("millrace", "discard")}
        self.bytes, self.peaks, self.back, self.losses = [], [], [], Losses()

    def run(self, runs):
        bed = self.bed
        bed.start_bgpd(recorded=False, fpm=False)
        with bed.speaker() as speaker:
            begin = time.monotonic()
            speaker.send(bgp_replay.updates_of(self.routes, replay_bed.PEER_AS))
            step(f"bgpd was given {len(self.routes):,} routes in {time.monotonic() - begin:.1f} s")
            poll(lambda: bed.fib_of_zebra() == len(self.routes), LIMIT_SECONDS,
                 lambda: f"zebra has {len(self.routes):,} routes; it has {bed.fib_of_zebra():,}", pause=1)
            step(f"zebra and the kernel have them after {time.monotonic() - begin:.1f} s")
            reader = Child(HERE / "fpm_reader.py", replay_bed.ROUTER, replay_bed.READER_PORT, "--record", self.record,
                           netns=bed.lab.router_netns)
            try:
                start_router(bed)
                self._discard(reader, None)  # the first one is recorded
                for _ in range(runs):
                    self._discard(reader, "fpm")
                    self._fresh()
                    self._discard(reader, "fpm-again")
                    self._again()
                for _ in range(runs):
                    self._killed()
                for _ in range(runs):
                    self._frames(reader)
            finally:
                reader.close()

    def _discard(self, reader, case):
        with stream_through(self.bed, STEADY) as stream:  # as in the other turns: packets take their share of the cores
            self.bed.say_fpm_to(replay_bed.READER_PORT)
            found = reader.json()
        self.losses.found.append(stream.found)
        if case:
            self.seconds[case, "discard"].append(found["seconds"])
            self.bytes.append(found["bytes"])
        step(f"a reader that discards: {found['bytes']:,} bytes in {found['seconds']:.2f} s")

    def _fresh(self):
        """Into a router that has no route of the feed."""
        self.bed.router.stop()
        start_router(self.bed)
        with stream_through(self.bed, STEADY) as stream:
            self.bed.say_fpm_to(replay_bed.PORT)
            self._take("fpm", 0)
        self.losses.found.append(stream.found)

    def _again(self):
        """Into one that holds them all since the connection was lost: what is repeated stays as it was."""
        before = self.bed.feed()["connections"]
        with stream_through(self.bed, STEADY, OF_FEED) as stream:
            self.bed.say_fpm_to(replay_bed.PORT)
            self._take("fpm-again", before)
        self.losses.found.append(stream.found)
        self.peaks.append(peak_mb(self.bed.router.pid))

    def _killed(self):
        """Kills the router, that zebra has said everything to, and starts it again: zebra comes by itself."""
        self.bed.router.kill()
        begin = time.monotonic()
        start_router(self.bed)
        answers = time.monotonic() - begin
        end = poll(lambda: self.bed.has_taken(len(self.routes)), LIMIT_SECONDS, self.bed.feed)
        self.back.append(end - begin)
        step(f"killed: millrace answers after {answers:.2f} s, and has all routes after {end - begin:.2f} s")

    def _take(self, case, connections):
        """The time from the connection until every route is in the FIB."""
        def connected():
            feed = self.bed.feed()
            return feed["connections"] > connections and feed["state"] == "syncing" and time.monotonic() - feed["state_seconds"]

        begin = wait_for(connected, 30, lambda: f"zebra connects; {self.bed.feed()}")
        end = poll(lambda: self.bed.has_taken(len(self.routes)), LIMIT_SECONDS, self.bed.feed)
        self.seconds[case, "millrace"].append(end - begin)
        feed = self.bed.feed()
        step(f"{case}: millrace has {feed['routes']:,} routes after {end - begin:.2f} s, {feed['messages']:,} messages; "
             f"it is up to {peak_mb(self.bed.router.pid):.0f} MB")

    def _frames(self, reader):
        """The recorded bytes, by a sender that has nothing else to do."""
        self.bed.frr.configure("no fpm address")
        self.bed.router.stop()
        start_router(self.bed)
        with self._send_frames(replay_bed.READER_PORT):
            self.seconds["fpm-frames", "discard"].append(reader.json()["seconds"])
        with self._send_frames(replay_bed.PORT):
            self._take("fpm-frames", 0)

    @contextlib.contextmanager
    def _send_frames(self, port):
        with self.bed.netns.socket(socket.AF_INET, socket.SOCK_STREAM) as connection, open(self.record, "rb") as frames:
            connection.connect((replay_bed.ROUTER, port))
            connection.sendfile(frames)
            yield

    def rows(self, row):
        for case in ("fpm", "fpm-again", "fpm-frames"):
            millrace, discard = (self.seconds[case, subject] for subject in ("millrace", "discard"))
            if not millrace:
                continue
            ours = row(f"replay/{case}", "millrace", "s", millrace, 3)
            theirs = row(f"replay/{case}", "discard", "s", discard, 3)
            ours["ratio"] = round(ours["value"] / theirs["value"], 2)
            ours["routes"] = len(self.routes)
            ours["notes"] = f"{ours['ratio']:.2f} times the time of the reader that discards"
            if case == "fpm":
                ours["notes"] += f", {'' if ours['ratio'] <= FPM_RATIO else 'MORE THAN '}{FPM_RATIO} are allowed"
            yield from (ours, theirs)
        slow = "" if max(self.back) <= BACK_SECONDS else "MORE THAN "
        yield row("replay/killed", "millrace", "s", self.back, 2,
                  f"from its start to all {len(self.routes):,} routes; {slow}{BACK_SECONDS} are allowed")
        within = "within" if max(self.peaks) <= MEMORY_MB else "MORE THAN"
        yield row("replay/peak-memory", "millrace", "MB", self.peaks, 1, f"{within} {MEMORY_MB} MB; 128 MB are packet buffers")
        yield self.losses.row("replay/lost")


# --- bgp/: recorded UPDATEs over a session

class Watch:
    """When bgpd, the kernel and millrace have so many routes: each is asked again and again by a thread of its own."""

    def __init__(self, bed, routes, kernel):
        self.since, self.at, self.failure = time.monotonic(), {}, None
        asked = {"bgpd": (bed.of_bgpd, routes, 0.1), "kernel": (bed.of_kernel, kernel, 0.2),
                 "millrace": (lambda: bed.feed()["routes"], routes, 0.01)}
        self._threads = [threading.Thread(target=self._ask, args=(name, *how), daemon=True) for name, how in asked.items()]
        for thread in self._threads:
            thread.start()

    def _ask(self, name, count, wanted, pause):
        try:
            self.at[name] = poll(lambda: count() == wanted, LIMIT_SECONDS, lambda: f"{name} has {wanted:,}; it has {count():,}",
                                 pause) - self.since
        except Exception as failure:  # pylint: disable=broad-except
            self.failure = failure

    def wait(self):
        for thread in self._threads:
            thread.join()
        if self.failure:
            raise self.failure
        return self.at


class BgpFeed:
    """The recorded feed, as fast as bgpd takes it or with its own timing; in a bed of its own each time."""

    def __init__(self, timed):
        self.case = "bgp/feed-timed" if timed else "bgp/feed"
        self.timed, self.recorded = timed, bgp_replay.read_updates(FEED)
        self.seconds = {"bgpd": [], "millrace": [], "kernel": []}
        self.peaks, self.late, self.lags, self.losses = [], [], [], Losses()
        self.churn = None

    def run(self, runs, churn):
        """With `churn`, that goes on top of the last feed."""
        wanted = len(bgp_replay.apply(update.message for update in self.recorded))
        for number in range(runs):
            with contextlib.closing(Lab()) as lab, contextlib.closing(replay_bed.Bed(lab)) as bed:
                start_router(bed)
                bed.start_bgpd(recorded=True)
                wait_for(lambda: bed.feed()["state"] == "up", 30, lambda: f"zebra is connected; {bed.feed()}")
                with bed.speaker() as speaker:
                    self._feed(bed, speaker, wanted)
                    if churn and number == runs - 1:
                        self.churn = Churn(bed, speaker, bgp_replay.apply(update.message for update in self.recorded))
                        self.churn.run()
                    speaker.check()
                    bed.frr.close()  # before its neighbours go

    def _feed(self, bed, speaker, wanted):
        own = bed.of_kernel()
        with stream_through(bed, STEADY) as stream:
            watch = Watch(bed, wanted, own + wanted)
            if self.timed:
                self.late.append(speaker.send_timed(self.recorded))
            else:
                speaker.send([update.message for update in self.recorded])
            sent = time.monotonic() - watch.since
            at = watch.wait()
        self.losses.found.append(stream.found)
        self.peaks.append(peak_mb(bed.router.pid))
        self.lags.append(bed.feed()["lag_max_seconds"])
        for name, seconds in at.items():
            self.seconds[name].append(seconds)
        step(f"{self.case}: sent in {sent:.2f} s; " + ", ".join(f"{name} {s:.2f} s" for name, s in sorted(at.items())))

    def rows(self, row):
        for name, runs in self.seconds.items():
            yield row(self.case, name, "s", runs, 2, "from the first UPDATE until all routes are there")
        for name in ("millrace", "kernel"):
            behind = [there - bgpd for there, bgpd in zip(self.seconds[name], self.seconds["bgpd"])]
            made = row(f"{self.case}-behind", name, "s", behind, 3, "after bgpd")
            if name == "millrace":
                after = [there - kernel for there, kernel in zip(self.seconds[name], self.seconds["kernel"])]
                made["after_kernel"] = [round(value, 3) for value in after]
                made["lag_max_seconds"] = max(self.lags)
                made["notes"] += (f", {'' if made['value'] <= BEHIND_SECONDS else 'MORE THAN '}{BEHIND_SECONDS} s is allowed; "
                                  f"after the kernel {' '.join(f'{value:.2f}' for value in after)}; bytes of FPM waited here "
                                  f"for {max(self.lags):.2f} s at most")
            yield made
        if self.timed:
            step(f"{self.case}: the latest UPDATE was sent {max(self.late):.2f} s late")
        yield self.losses.row(f"{self.case}-lost")
        if not self.timed:
            yield row("bgp/feed-memory", "millrace", "MB", self.peaks, 1, "128 MB are packet buffers")


class Churn:
    """Five minutes of a route collector's neighbours, as if they were one, on top of the full feed."""

    def __init__(self, bed, speaker, prefixes):
        self.bed, self.speaker = bed, speaker
        self.recorded = bgp_replay.read_updates(CHURN)
        self.wanted = bgp_replay.apply((update.message for update in self.recorded), prefixes)
        self.losses = Losses()
        self.messages = self.differ = self.seconds = self.settled = self.lag = None

    def run(self):
        before = self.bed.feed()["messages"]
        self.speaker.send(bgp_replay.updates_of([(replay_bed.OF_FEED, subjects.Millrace.next_hop(0))], replay_bed.PEER_AS))
        poll(lambda: self.bed.feed()["messages"] > before, 30, self.bed.feed)
        before = self.bed.feed()["messages"]
        with stream_through(self.bed, STEADY, OF_FEED) as stream:
            begin = time.monotonic()
            self.speaker.send_timed(self.recorded, CHURN_TIMES_FASTER)
            self.seconds = time.monotonic() - begin
            self.bed.expect_routes(len(self.wanted) + 1, LIMIT_SECONDS)
            self.settled = time.monotonic() - begin - self.seconds
        self.losses.found.append(stream.found)
        feed = self.bed.feed()
        self.messages, self.lag = feed["messages"] - before, feed["lag_max_seconds"]
        step(f"churn is over after {self.seconds:.1f} s and {self.settled:.2f}; tables are compared")
        zebra, millrace = self.bed.of_zebra(), self.bed.routes()
        self.differ = sum(zebra.get(prefix) != millrace.get(prefix) for prefix in {*zebra, *millrace})
        step(f"{self.differ} of {len(zebra):,} differ")

    def rows(self, row):
        made = row("bgp/churn", "millrace", "routes", [self.differ], 0,
                   f"differ from zebra's at the end, of {len(self.wanted) + 1:,}; {len(self.recorded):,} UPDATEs in "
                   f"{self.seconds:.0f} s, {self.messages:,} messages of FPM, the last {self.settled:.2f} s later; each was "
                   f"applied at most {self.lag:.2f} s after it was read, the feed's before included, "
                   f"{'' if self.lag <= APPLIED_SECONDS else 'MORE THAN '}{APPLIED_SECONDS} s are allowed")
        yield {**made, "updates": len(self.recorded), "messages": self.messages, "routes": len(self.wanted) + 1,
               "lag_max_seconds": self.lag}
        yield self.losses.row("bgp/churn-lost")


def parts(options, work, row):
    """Rows, part by part, of those that are wanted."""
    try:
        yield from _parts(options, work, row)
    except (AssertionError, bgp_replay.Malformed, bgp_replay.SessionLost, Ended) as error:
        raise subjects.Failure(error) from error


def _parts(options, work, row):
    wanted = {part for part, cases in CASES.items() if any(options.cases.search(case) for case in cases)}
    if "replay" in wanted:
        with contextlib.closing(Lab()) as lab:
            replay = FpmReplay(lab, options.table4, options.table6, options.next_hops, work)
            with contextlib.closing(replay.bed):
                replay.run(options.runs)
            yield list(replay.rows(row))
    if wanted & {"feed", "churn"}:
        feed = BgpFeed(timed=False)
        feed.run(options.runs if "feed" in wanted else 1, "churn" in wanted)
        yield list(feed.rows(row)) + (list(feed.churn.rows(row)) if feed.churn else [])
    if "timed" in wanted:
        feed = BgpFeed(timed=True)
        feed.run(1, False)
        yield list(feed.rows(row))

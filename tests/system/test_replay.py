"""The beginning of a real full feed over a real BGP session: bgpd, zebra, FPM, and every route is where zebra has it."""

import sys

import pytest

from basics import ROOT, wait_for

sys.path.insert(0, str(ROOT / "perf"))
import bgp_replay  # noqa: E402
from replay_bed import PEER_AS, Bed  # noqa: E402
from subjects import Millrace  # noqa: E402

FEED = ROOT / "tests/data/fullfeed-20151023.bgp4mp_et.mrt.gz"
UPDATES = 3_000
SECONDS = 60


@pytest.fixture
def bed(lab):
    made = Bed(lab, memory="512M")
    yield made
    made.close()


def test_recorded_updates_lead_to_the_routes_that_zebra_has(bed):
    recorded = bgp_replay.read_updates(FEED, UPDATES)
    bed.router.start()
    bed.start_bgpd(recorded=True)
    messages = [update.message for update in recorded]
    # The last one is taken back again, and IPv6 goes over the same session.
    own = list(bgp_replay.updates_of([("2001:db8:9::/48", Millrace.next_hop(0, 6)), ("198.18.1.0/24", Millrace.next_hop(0))],
                                     PEER_AS))
    gone = bgp_replay.changes_of(messages[-1])[1]
    messages += [*own, bgp_replay.withdrawal_of(gone)]
    wanted = {bgp_replay.prefix_text(prefix) for prefix in bgp_replay.apply(messages)}
    with bed.speaker() as speaker:
        speaker.send(messages)
        bed.expect_routes(len(wanted), SECONDS)
        assert bed.of_bgpd() == len(wanted)
        here = bed.routes()
        assert set(here) == wanted and len(wanted) > 10_000
        assert here == bed.of_zebra()
        assert {prefix for prefix, hops in here.items() if hops != [Millrace.next_hop(0, 6 if ":" in prefix else 4)]} == set()
        speaker.check()
    # The neighbour is gone, and what it said with it.
    wait_for(lambda: bed.feed()["routes"] == 0, SECONDS, lambda: f"no route; {bed.feed()}")

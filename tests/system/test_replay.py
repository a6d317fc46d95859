"""The beginning of a real full feed over a real BGP session: bgpd, zebra, FPM, and every route is where zebra has it."""

import sys

import pytest

from basics import ROOT, wait_for

sys.path.insert(0, str(ROOT / "perf"))
import bgp_replay  # noqa: E402
from replay_bed import PEER_AS, Bed  # noqa: E402
from subjects import Millrace  # noqa: E402

FEED = ROOT / "tests/data/fullfeed-20151023.bgp4mp_et.mrt.gz"
UPDATES = 1_000
SECONDS = 120  # on a busy machine


@pytest.fixture
def bed(lab):
    made = Bed(lab, memory="512M")
    yield made
    made.close()


def test_recorded_updates_lead_to_the_routes_that_zebra_has(bed):
    bed.router.start()
    bed.start_bgpd(recorded=True)
    recorded = [update.message for update in bgp_replay.read_updates(FEED, UPDATES)]
    hops = [Millrace.next_hop(0), Millrace.next_hop(0, 6)]
    of_both_families = bgp_replay.updates_of([("198.18.1.0/24", hops[0]), ("2001:db8:9::/48", hops[1])], PEER_AS)
    all_said = bgp_replay.apply(messages := [*recorded, *of_both_families])
    gone = bgp_replay.withdrawal_of(bgp_replay.changes_of(recorded[-1])[1])
    left = {bgp_replay.prefix_text(prefix) for prefix in bgp_replay.apply([gone], all_said)}
    assert len(all_said) > len(left) > 10_000
    with bed.speaker() as speaker:
        speaker.send(messages)
        bed.expect_routes(len(all_said), SECONDS)
        speaker.send([gone])
        bed.expect_routes(len(left), SECONDS)
        assert bed.of_bgpd() == len(left)
        here = bed.routes()
        assert here == bed.of_zebra()
        assert here == {prefix: [hops[":" in prefix]] for prefix in left}
        speaker.check()
    # The neighbour is gone, and what it said with it.
    wait_for(lambda: bed.feed()["routes"] == 0, SECONDS, lambda: f"no route; {bed.feed()}")

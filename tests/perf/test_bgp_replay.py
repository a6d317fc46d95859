"""perf/bgp_replay.py reads MRT files as RFC 6396 has them, refuses what is none, and makes UPDATEs that it can read."""

import gzip
import pathlib
import socket
import struct

import pytest

import bgp_replay
from bgp_replay import Malformed

DATA = pathlib.Path(__file__).resolve().parents[1] / "data"
ANNOUNCED = next(bgp_replay.updates_of([("203.0.113.0/24", "192.0.2.1")], 64512))


def record(message=ANNOUNCED, kind=16, subtype=4, family=1, length=None, microseconds=None):
    body = b"" if microseconds is None else struct.pack("!I", microseconds)
    body += struct.pack("!II" if subtype == 4 else "!HH", 64512, 64513) + struct.pack("!HH", 0, family)
    body += bytes(2 * (4 if family == 1 else 16)) + message
    return struct.pack("!IHHI", 1000, kind, subtype, len(body) if length is None else length) + body


def read(tmp_path, data, limit=None):
    path = tmp_path / "updates.mrt"
    path.write_bytes(data)
    return bgp_replay.read_updates(path, limit)


def test_the_real_feed_is_the_table_that_was_made_of_it():
    updates = bgp_replay.read_updates(DATA / "fullfeed-20151023.bgp4mp_et.mrt.gz")
    assert len(updates) == 89_679 and all(update.as4 for update in updates)
    assert [update.seconds for update in updates] == sorted(update.seconds for update in updates)
    with gzip.open(DATA / "feed20151023-v4-prefix-nexthop.txt.gz", "rt") as table:
        known = {line.split()[0] for line in table}
    found = {bgp_replay.prefix_text(prefix) for prefix in bgp_replay.apply(update.message for update in updates)}
    assert found <= known and len(known - found) == 7  # three are withdrawn before its end, four name AS 0


def test_real_churn_has_both_families():
    updates = bgp_replay.read_updates(DATA / "updates.20160811.1600.gz")
    assert len(updates) == 17_216
    assert {prefix[0] for update in updates for prefix in bgp_replay.changes_of(update.message)[1]} == {1, 2}


def test_records_of_each_kind_are_read(tmp_path):
    keepalive = bgp_replay.message_of(bgp_replay.KEEPALIVE)
    data = (record() + record(kind=17, microseconds=250_000) + record(subtype=1) + record(family=2) + record(message=keepalive) +
            struct.pack("!IHHI", 0, 13, 1, 3) + b"abc")  # a record of another type is passed over
    updates = read(tmp_path, data)
    assert [(update.seconds, update.as4, update.peer) for update in updates] == [
        (1000, True, "0.0.0.0"), (1000.25, True, "0.0.0.0"), (1000, False, "0.0.0.0"), (1000, True, "::")]
    assert {update.message for update in updates} == {ANNOUNCED}
    assert len(read(tmp_path, data, limit=2)) == 2
    assert read(tmp_path, gzip.compress(data)) == updates
    assert read(tmp_path, b"") == []


def update(withdrawn=b"", attributes=b"", nlri=b"", withdrawn_bytes=None, attribute_bytes=None):
    return bgp_replay.message_of(bgp_replay.UPDATE, struct.pack(
        "!H", len(withdrawn) if withdrawn_bytes is None else withdrawn_bytes) + withdrawn + struct.pack(
            "!H", len(attributes) if attribute_bytes is None else attribute_bytes) + attributes + nlri)


MALFORMED = {
    "half a header": (record()[:7], "no MRT header"),
    "a second record that is cut off": (record() + record()[:-1], f"at byte {len(record())}: the record says"),
    "a length beyond the file": (record(length=0xFFFFFFFF), "says that it has 4294967295 bytes"),
    "no microseconds": (struct.pack("!IHHI", 0, 17, 4, 2) + b"ab", "no room for microseconds"),
    "no room for its own header": (struct.pack("!IHHI", 0, 16, 4, 5) + b"abcde", "within its own header"),
    "another address family": (record(family=3), "address family 3"),
    "no BGP message": (record(message=b""), "no BGP message"),
    "no marker": (record(message=b"\0" + ANNOUNCED[1:]), "without its marker"),
    "a BGP length of more than there is": (record(message=ANNOUNCED[:-1]), "a BGP message of"),
    "an UPDATE without lengths": (record(message=bgp_replay.message_of(bgp_replay.UPDATE, b"\0")), "an UPDATE of 20 bytes"),
    "too many withdrawn bytes": (record(message=update(withdrawn_bytes=9)), "9 bytes of withdrawn routes"),
    "attributes beyond the UPDATE": (record(message=update(attribute_bytes=9)), "end 9 bytes after"),
    "an attribute beyond the others": (record(message=update(attributes=b"\x40\x01\x05\0")), "path attribute 1 says"),
    "half an attribute": (record(message=update(attributes=b"\x40")), "within its header"),
    "a prefix of 33 bits": (record(message=update(nlri=b"\x21\1\2\3\4\5")), "NLRI: a prefix of 33 bits"),
    "half a prefix": (record(message=update(withdrawn=b"\x18\1\2")), "withdrawn routes: a prefix of 24 bits in 2 bytes"),
    "a short MP_REACH_NLRI": (record(message=update(attributes=b"\x80\x0e\2\0\2")), "MP_REACH_NLRI has 2 bytes"),
    "a next hop beyond MP_REACH_NLRI": (record(message=update(attributes=b"\x80\x0e\5\0\2\1\x20\0")), "its next hop ends after"),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_what_is_malformed_is_refused_with_its_place(tmp_path, what):
    data, says = MALFORMED[what]
    with pytest.raises(Malformed) as error:
        read(tmp_path, data)
    assert says in str(error.value) and str(tmp_path) in str(error.value), error.value


def test_a_gzip_file_that_is_cut_off_is_refused(tmp_path):
    with pytest.raises(Malformed):
        read(tmp_path, gzip.compress(record() * 100)[:-20])
    with pytest.raises(Malformed):
        bgp_replay.read_updates(tmp_path / "none")


def test_updates_of_a_table_have_all_of_it_and_are_of_legal_length():
    routes = [(f"10.{n // 256}.{n % 256}.0/24", f"192.0.2.{n % 3}") for n in range(20_000)]
    routes += [(f"2001:db8:{n:x}::/48", f"2001:db8:ffff::{n % 2:x}") for n in range(1, 5_000)] + [("0.0.0.0/0", "192.0.2.9")]
    messages = list(bgp_replay.updates_of(routes, 64512))
    assert all(len(message) <= bgp_replay.MAX_BYTES for message in messages) and len(messages) < 50
    assert {bgp_replay.prefix_text(prefix) for prefix in bgp_replay.apply(messages)} == {prefix for prefix, _ in routes}


def test_announcements_by_as_zero_are_withdrawals():
    routes = [("203.0.113.0/24", "192.0.2.1")]
    good, bad = (next(bgp_replay.updates_of(routes, asn)) for asn in (64512, 0))
    assert len(bgp_replay.apply([good])) == 1
    assert bgp_replay.apply([bad]) == bgp_replay.apply([good, bad]) == set()


def test_withdrawals_take_prefixes_back_and_bits_behind_a_prefix_do_not_count():
    announced = update(nlri=b"\x0c\x0a\x1f\x18\xcb\0\x71")
    assert bgp_replay.changes_of(announced)[1] == [(1, 12, 0x0A100000), (1, 24, 0xCB007100)]
    left = bgp_replay.apply([announced, bgp_replay.withdrawal_of([(1, 12, 0x0A100000)])])
    assert left == {(1, 24, int.from_bytes(socket.inet_aton("203.0.113.0"), "big"))}

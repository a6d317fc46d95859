"""Whether a router has exactly the routes that a daemon has: prefixes and next hops, both ways.

A table is a dictionary: prefix -> next hops, each an address and the interface that it is on, or what the route does
instead, as `blackhole`.
"""

import json
import re

SHOWN = 5  # differences that a failure names
SHOW_SECONDS = 300  # a full table
# B>* 192.0.2.0/24 [20/0] via 10.255.1.1, out, weight 1, 00:00:05, and a line for each other next hop
ROUTE_OF_ZEBRA = re.compile(r"(\w)(.). (\S+/\d+) \[")
HOP_OF_ZEBRA = re.compile(r"(?:\w.|  )\*.*? (?:via ([^,\s]+), ([^,\s]+)|unreachable \(([^)]+)\))")
INSTEAD = {"blackhole": "blackhole", "ICMP unreachable": "unreachable", "ICMP admin-prohibited": "prohibit"}


def of_router(router, source):
    """The routes in use that came from `source`, as `millrace show routes --json` has them."""
    return of_routes(json.loads(router.cli("show", "routes", "--source", source, "--json").stdout)["routes"])


def of_routes(routes):
    """The same of routes as the API has them."""
    found = {}
    for route in routes:
        if route["best"]:
            assert route["prefix"] not in found, f"{route['prefix']} has two routes in use"
            found[route["prefix"]] = sorted((hop["address"], hop["interface"]) for hop in route["via"]) or route["type"]
    return found


def of_zebra(frr, protocol=""):
    """What FRR forwards by, but for its own links and what others gave the kernel. As text: its JSON takes several times as
    long, and of a full table gigabytes."""
    found, hops = {}, None
    for family in ("ip", "ipv6"):
        for line in frr.show(f"show {family} route {protocol}", SHOW_SECONDS).splitlines():
            if start := ROUTE_OF_ZEBRA.match(line):
                kind, selected, prefix = start.groups()
                hops = found.setdefault(prefix, []) if selected == ">" and kind not in "KCL" else None
            elif not line.startswith("  "):
                hops = None
            if hops is not None and (hop := HOP_OF_ZEBRA.match(line)):
                hops.append(hop.groups()[:2] if hop[1] else INSTEAD[hop[3]])
    return {prefix: hops[0] if isinstance(hops[0], str) else sorted(hops) for prefix, hops in found.items() if hops}


def of_bird(bird):
    """The best routes that BIRD has, but for those of its links."""
    found, prefix = {}, None
    for line in bird.show("route", "primary").splitlines():
        if start := re.match(r"(\S+/\d+)\s+(\w+)", line):
            prefix, kind = start.groups()
            found[prefix] = [] if kind == "unicast" else kind
        if via := re.match(r"\s+via (\S+) on (\S+)", line):
            found[prefix].append(via.groups())
    return {prefix: hops if isinstance(hops, str) else sorted(hops) for prefix, hops in found.items() if hops}


def differences(theirs, ours):
    """A line for each prefix that only one of them has, or has otherwise."""
    for prefix in sorted({*theirs, *ours}):
        if theirs.get(prefix) != ours.get(prefix):
            yield f"{prefix}: the daemon has {_text(theirs.get(prefix))}, the router {_text(ours.get(prefix))}"


def _text(hops):
    if hops is None:
        return "no route"
    return hops if isinstance(hops, str) else ", ".join(f"{address} on {interface}" for address, interface in hops)


def told(found):
    """The first of the differences, and how many there are."""
    return "\n".join([f"{len(found)} routes differ", *found[:SHOWN]])


def agree(theirs, ours):
    assert theirs, "the daemon has no route"
    found = list(differences(theirs, ours))
    assert not found, told(found)

"""The table of a soak: which routes there are, which of them change, and what has to become of a packet."""

import ipaddress
import random

from oracle import PrefixOracle, is_forwarded, prefix_text

STEADY_HOPS = [f"10.128.0.{host}" for host in range(10, 58)]  # on `out`, static neighbours
FLAPPING_HOPS = [f"10.129.0.{host}" for host in range(10, 26)]  # on `flap`, asked for by ARP
HOPS = STEADY_HOPS + FLAPPING_HOPS
MOST_ABSENT = 0.1  # of the routes that change
GROUPS = 200  # different sets of several next hops: a number that stays, as the memory for them has to


def mac_of(hop):
    return "02:00:" + ":".join(f"{int(part):02x}" for part in hop.split("."))


def addresses(via):
    """The next hops in what follows "via" on a line, without their weights."""
    return {word for word in via.split() if "." in word}


class Routes(PrefixOracle):
    """Each prefix with what follows "via" on its line. Half of the prefixes change, the others never do."""

    def __init__(self, table, seed):
        super().__init__()
        self._rng = random.Random(seed)
        self._groups = [self._group() for _ in range(GROUPS)]
        self._steady, self._present, self._absent = [], [], []
        for network, length, index in table:
            self.by_length[length][network] = HOPS[index % len(HOPS)]
            (self._steady if self._rng.random() < 0.5 else self._present).append((network, length))

    def lines(self):
        for network, length, via in self:
            yield f"{prefix_text(network, length)} via {via}"

    def steady_destinations(self, count):
        """(address, MAC) of packets that leave `out`, whatever becomes of the routes that change."""
        chosen = []
        while len(chosen) < count:
            network, length = self._rng.choice(self._steady)
            address = network | self._rng.randrange(1 << (32 - length))
            # Routes that change may cover this one or lie elsewhere in it, never between it and the address.
            matched = self.match(address)
            if is_forwarded(address) and matched[:2] == (network, length) and matched[2] in STEADY_HOPS:
                chosen.append((str(ipaddress.IPv4Address(address)), mac_of(matched[2])))
        return chosen

    def samples(self, count):
        """(address, (prefix, next hops)) of random destinations, as the router has to answer now."""
        listed = [(network, length) for network, length, _ in self]
        while count > 0:
            network, length = self._rng.choice(listed)
            address = network | self._rng.randrange(1 << (32 - length))
            if is_forwarded(address):
                found, found_length, via = self.match(address)
                yield str(ipaddress.IPv4Address(address)), (prefix_text(found, found_length), addresses(via))
                count -= 1

    def change(self, count):
        """The lines of `count` changes, done here at once: new next hops, routes that go, routes that come again."""
        return [self._change_one() for _ in range(count)]

    def _change_one(self):
        kind = self._rng.random()
        full = len(self._absent) >= MOST_ABSENT * (len(self._present) + len(self._absent))
        if kind < 0.5:
            return self._set(self._rng.choice(self._present))
        if kind < 0.75 and not full or not self._absent:
            network, length = self._move(self._present, self._absent)
            del self.by_length[length][network]
            return f"del {prefix_text(network, length)}"
        return self._set(self._move(self._absent, self._present))

    def _set(self, prefix):
        network, length = prefix
        via = self._via()
        self.by_length[length][network] = via
        return f"{prefix_text(network, length)} via {via}"

    def _via(self):
        return self._rng.choice(HOPS if self._rng.random() < 0.9 else self._groups)

    def _group(self):
        hops = self._rng.sample(HOPS, self._rng.randint(2, 4))
        return " ".join(f"{hop} weight {self._rng.randint(1, 255)}" for hop in hops)

    def _move(self, source, target):
        at = self._rng.randrange(len(source))
        source[at], source[-1] = source[-1], source[at]
        target.append(source.pop())
        return target[-1]

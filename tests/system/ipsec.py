"""Tunnels in configurations, and the other end of one by scapy."""

import copy
import dataclasses
import hashlib

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import ESP, SecurityAssociation

# Of each algorithm: bytes of the cipher's key and salt, bytes of the integrity key, and scapy's names for both.
ALGORITHMS = {
    "aes-128-gcm": (20, 0, "AES-GCM", None),
    "aes-192-gcm": (28, 0, "AES-GCM", None),
    "aes-256-gcm": (36, 0, "AES-GCM", None),
    "chacha20-poly1305": (36, 0, "CHACHA20-POLY1305", None),
    "aes-128-cbc-hmac-sha1": (16, 20, "AES-CBC", "HMAC-SHA1-96"),
    "aes-128-cbc-hmac-sha256": (16, 32, "AES-CBC", "SHA2-256-128"),
    "aes-192-cbc-hmac-sha384": (24, 48, "AES-CBC", "SHA2-384-192"),
    "aes-256-cbc-hmac-sha512": (32, 64, "AES-CBC", "SHA2-512-256"),
    "null-hmac-sha1": (0, 20, "NULL", "HMAC-SHA1-96"),
    "null-hmac-sha256": (0, 32, "NULL", "SHA2-256-128"),
    "null-hmac-sha384": (0, 48, "NULL", "SHA2-384-192"),
    "null-hmac-sha512": (0, 64, "NULL", "SHA2-512-256"),
    "aes-128-gmac": (20, 0, None, None),  # scapy has none
}


def to_allow(algorithms):
    """Those that a configuration has to allow."""
    return [name for name in algorithms if "null" in name or "gmac" in name or "sha1" in name]


def key(algorithm, name):
    """The key of an SA: bytes that differ by `name`."""
    size = sum(ALGORITHMS[algorithm][:2])
    return hashlib.shake_256(name.encode()).digest(size)


def sa(spi, algorithm, name=None):
    return {"spi": spi, "key": key(algorithm, name or str(spi)).hex()}


def with_tunnels(config, tunnels, state):
    """The configuration with interfaces NAME -> settings, of which `ipsec` is one."""
    whole = copy.deepcopy(config)
    whole["interfaces"].update(tunnels)
    whole["ipsec"] = {"state": str(state), "allow": to_allow(ALGORITHMS)}
    return whole


@dataclasses.dataclass(frozen=True)
class Ends:
    """Of one tunnel, as the other end sees them: its own address first."""
    own: str
    router: str

    def header(self, outward):
        source, destination = (self.own, self.router) if outward else (self.router, self.own)
        return (IPv6 if ":" in self.own else IP)(src=source, dst=destination)


class Peer:
    """The other end: `send` is the SPI of what it sends, `receive` of what comes."""

    def __init__(self, ends, algorithm, send, receive, esn=False, udp=False):
        cipher_bytes, _, cipher, integrity = ALGORITHMS[algorithm]

        def association(spi, outward):
            whole = key(algorithm, str(spi))
            return SecurityAssociation(
                ESP, spi=spi, crypt_algo=cipher, crypt_key=whole[:cipher_bytes] or None, auth_algo=integrity,
                auth_key=whole[cipher_bytes:] or None, tunnel_header=ends.header(outward),
                nat_t_header=UDP(sport=4500, dport=4500) if udp else None, esn_en=esn)

        self._out, self._in = association(send, True), association(receive, False)

    def seal(self, packet, number=None):
        return self._out.encrypt(packet, seq_num=number)

    def open(self, packet):
        return self._in.decrypt(packet)

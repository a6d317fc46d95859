"""Floods from inside the router: a port of DPDK's net_pcap gives the frames of a file over and over, as fast as its worker asks."""

import contextlib
import sys

from basics import ROOT, wait_for

sys.path.insert(0, str(ROOT / "perf"))
from flood_frames import KINDS, Link, write  # noqa: E402,F401

OWN = "198.51.100.1"  # the router's address on the flood's link, a /16
SILENT = "net_null,no-rx=1"
SECONDS = 10


class FloodPort:
    """The interface `flood` of a router: silent, but for the time of a flood.

    It keeps its buffers, so that the router makes none when a flood begins.
    """

    def __init__(self, config):
        """Puts it into a configuration."""
        self._config, self._floods = config, 0
        self._set(SILENT)

    def _set(self, device):
        self._config["interfaces"]["flood"] = {"device": device, "queues": 1, "addresses": [f"{OWN}/16"]}

    def _apply(self, router):
        """A device that has just gone may be in use for a moment longer (409)."""
        headers = {"Content-Type": "application/yaml"}
        said = []

        def done():
            said[:] = router.api("POST", "/v1/config:apply", router.text(self._config), headers)
            return said[0] != 409

        wait_for(done, SECONDS, lambda: said)
        assert said[0] == 200, said

    @contextlib.contextmanager
    def flooding(self, router, file, kind, beyond):
        """Inside, frames of a kind come; `beyond` is an address behind the router."""
        mac = f"02:70:63:61:70:{self._floods:02x}"  # net_pcap numbers the ports that it made
        self._floods += 1
        write(file, kind, Link(mac, OWN, beyond, "198.51", "198.51"))
        self._set(f"net_pcap,rx_pcap={file},infinite_rx=1")
        self._apply(router)
        try:
            assert router.interface("flood")["mac"] == mac
            yield
        finally:
            self._set(SILENT)
            self._apply(router)

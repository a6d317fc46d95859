"""The traffic of perf/rfc2544.sh as a TRex profile, for looking at a device by hand:

    trex> start -f rfc2544_profile.py -p 0 -m 1mpps -t size=64,networks=16
"""

from trex.stl.api import *  # noqa: F403  # pylint: disable=all


class Rfc2544:
    """UDP to the echo port, to one host in each of some networks (RFC 2544 appendix C.2)."""

    def get_streams(self, direction=0, size=64, networks=1, **_):
        near, far = (18, 19) if direction == 0 else (19, 18)
        head = Ether() / IP(src=f"198.{near}.0.2", dst=f"198.{far}.1.2") / UDP(sport=0xC020, dport=7, chksum=0)
        packet = head / bytes(i % 256 for i in range(int(size) - 4 - len(head)))
        to = [STLVmFlowVar("to", min_value=f"198.{far}.1.2", max_value=f"198.{far}.{int(networks)}.2", size=4, step=256),
              STLVmWrFlowVar("to", "IP.dst"), STLVmFixIpv4("IP")]
        return [STLStream(packet=STLPktBuilder(pkt=packet, vm=STLScVmRaw(to)), mode=STLTXCont(pps=1000))]


def register():
    return Rfc2544()

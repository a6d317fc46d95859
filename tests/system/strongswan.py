"""strongSwan's charon in a namespace of the lab, with an ESP of its own (kernel-libipsec): the kernel needs none.

Two of them negotiate, and the log of each has the keys: those that a router beside one of them is configured with.
"""

import dataclasses
import pathlib
import re
import shutil
import subprocess
import tempfile

from basics import sh, wait_for

START_SECONDS = 20
STOP_SECONDS = 10

# What strongSwan calls the algorithms of Millrace.
PROPOSALS = {
    **{f"aes-{bits}-gcm": f"aes{bits}gcm16" for bits in (128, 192, 256)},
    "chacha20-poly1305": "chacha20poly1305",
    **{f"aes-{bits}-cbc-hmac-{digest}": f"aes{bits}-{digest}"
       for bits in (128, 192, 256) for digest in ("sha1", "sha256", "sha384", "sha512")},
    **{f"null-hmac-{digest}": f"null-{digest}" for digest in ("sha1", "sha256", "sha384", "sha512")},
    **{f"aes-{bits}-gmac": f"aes{bits}gmac" for bits in (128, 192, 256)},
}

_PROGRAMS = ("/usr/sbin/charon-systemd", "/usr/sbin/swanctl")
_PLUGINS = "random nonce openssl kdf kernel-libipsec kernel-netlink socket-default vici"


def text_of(settings):
    """As its files have them: sections are mappings."""
    return "".join(f"{name} {{\n{text_of(value)}}}\n" if isinstance(value, dict) else f"{name} = {value}\n"
                   for name, value in settings.items())


def connection(ends, subnets, children):
    """Of an IKE_SA: `ends` and `subnets` are (own, other); `children` are NAME -> settings of a CHILD_SA."""
    between = {"local_ts": ",".join(subnets[0]), "remote_ts": ",".join(subnets[1])}
    return {"local_addrs": ends[0], "remote_addrs": ends[1], "mobike": "no", "proposals": "aes128-sha256-x25519",
            "local": {"auth": "psk"}, "remote": {"auth": "psk"},
            "children": {name: {**between, **settings} for name, settings in children.items()}}


@dataclasses.dataclass(frozen=True)
class ChildSa:
    """Both directions of a CHILD_SA as one end has them: each an SA of Millrace's configuration."""
    out: dict
    inbound: dict


class Refused(Exception):
    """There is no CHILD_SA."""


class Charon:
    """`settings` are charon's own, beside those that it needs here."""

    def __init__(self, netns, connections, **settings):
        self.netns = netns
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="mr-swan-"))
        charon = {"load": _PLUGINS,
                  "plugins": {"kernel-libipsec": {"load": "yes"}, "vici": {"socket": self._socket}},
                  "filelog": {"all": {"path": self.directory / "log", "default": 1, "chd": 4, "flush_line": "yes"}}}
        (self.directory / "strongswan.conf").write_text(
            text_of({"charon-systemd": {**charon, **settings}, "swanctl": {"load": "random openssl"}}))
        (self.directory / "swanctl.conf").write_text(
            text_of({"connections": connections, "secrets": {"ike": {"secret": '"of two charons in a lab"'}}}))
        for program in _PROGRAMS:  # AppArmor's profiles of them go by their place, and let them read only what is in /etc
            shutil.copy(program, self.directory)
        self._process = None

    @property
    def _socket(self):
        return f"unix://{self.directory}/vici"

    def start(self):
        with (self.directory / "output").open("ab") as output:
            self._process = self.netns.popen("env", f"STRONGSWAN_CONF={self.directory}/strongswan.conf",
                                             self.directory / "charon-systemd", stdout=output, stderr=subprocess.STDOUT)
        wait_for(self._answers, START_SECONDS, lambda: f"charon answers\n{self.log}")
        self.swanctl("--load-all", "--noprompt")
        return self

    def _answers(self):
        assert self._process.poll() is None, f"charon ended\n{(self.directory / 'output').read_text()}\n{self.log}"
        return self.swanctl("--stats", check=False).returncode == 0

    def swanctl(self, command, *words, check=True):
        return sh("env", f"STRONGSWAN_CONF={self.directory}/strongswan.conf", f"SWANCTL_DIR={self.directory}",
                  self.directory / "swanctl", command, "--uri", self._socket, *words, check=check)

    @property
    def log(self):
        file = self.directory / "log"
        return file.read_text(errors="replace") if file.exists() else ""

    def initiate(self, ike, child):
        """The ChildSa; Refused where there is none."""
        mark = len(self.log)
        said = self.swanctl("--initiate", "--ike", ike, "--child", child, "--timeout", 10, check=False)
        if said.returncode != 0:
            raise Refused(said.stdout)
        return child_sa_in(self.log[mark:], initiated=True)

    def terminate(self, ike, child):
        self.swanctl("--terminate", "--ike", ike, "--child", child)

    def child_sas(self):
        """Inbound SPI -> what it says of the CHILD_SA, and has counted: `packets-in` and `packets-out`."""
        said = self.swanctl("--list-sas", "--raw").stdout
        children = [dict(re.findall(r"([\w-]+)=([\w-]+)", part)) for part in re.findall(r"\{(name=[^{}]*)\}", said)]
        return {int(child["spi-in"], 16): {**child, **{name: int(child[name]) for name in ("packets-in", "packets-out")}}
                for child in children}

    def close(self):
        if self._process and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


def child_sa_in(log, initiated):
    """The ChildSa that a piece of a log tells of; None as long as that has not all of it. Keys are logged first."""
    spis = dict(re.findall(r"(inbound|outbound) ESP SA\n.*\bSPI 0x([0-9a-f]+)", log))
    if len(spis) < 2:
        return None
    keys, name = {}, None
    for line in re.findall(r"\[CHD\] (.*)", log):
        if found := re.match(r"(\w+ \w+ key) => \d+ bytes", line):
            name = found[1]
            keys[name] = ""
        elif name and (found := re.match(r" +\d+: ((?:[0-9A-F]{2} )+) ", line)):
            keys[name] += found[1].replace(" ", "").lower()
        else:
            name = None

    def sa(way, role):
        # As Millrace has them: the cipher's key, with the salt, then that of the HMAC.
        return {"spi": int(spis[way], 16),
                "key": "".join(keys.get(f"{kind} {role} key", "") for kind in ("encryption", "integrity"))}

    own, other = ("initiator", "responder") if initiated else ("responder", "initiator")
    return ChildSa(sa("outbound", own), sa("inbound", other))

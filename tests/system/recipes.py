"""The examples of `examples/` in a lab: their very files, of which only devices, namespaces and what is named changes."""

import pathlib
import re
import subprocess
import tempfile

import yaml

from basics import ROOT, wait_for
from bird import Bird
from frr import Frr

EXAMPLES = ROOT / "examples"
SECONDS = 40  # until protocols have agreed


def read(name, file, changes=None):
    """A file of an example; each of `changes` is a text that it has and what stands for it here."""
    text = (EXAMPLES / name / file).read_text()
    for old in changes or {}:
        assert old in text, f"{name}/{file} has no {old!r}"
    pattern = "|".join(re.escape(old) for old in sorted(changes or {}, key=len, reverse=True))
    return re.sub(pattern, lambda found: changes[found[0]], text) if changes else text


def part(text, name):
    """A file without its other parts: each begins with `! ---- NAME`."""
    beginning, *parts = re.split("^! ---- ", text, flags=re.MULTILINE)
    (chosen,) = [each for each in parts if each.startswith(name)]
    return f"{beginning}! {chosen}"


def without_fpm(text):
    """A frr.conf for a kernel router."""
    return re.sub(r'zebra_options="[^"]*"|^fpm address .*$', "", text, flags=re.MULTILINE)


class Program:
    """A daemon that runs in the foreground and writes its log to its output."""

    def __init__(self, netns, *command):
        self.netns = netns
        self._log = tempfile.NamedTemporaryFile(prefix="mr-log-")
        self._process = netns.popen(*command, stdout=self._log, stderr=subprocess.STDOUT)

    @property
    def log(self):
        return pathlib.Path(self._log.name).read_text(errors="replace")[-3000:]

    def summary(self):
        return f"{self.netns.name}\n{self.log}"

    def stop(self):
        self._process.terminate()
        self._process.wait(SECONDS)

    def close(self):
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._log.close()


class Recipe:
    """A router that runs an example, and the namespace that its TAPs and daemons are in."""

    def __init__(self, lab, name, file="millrace.yaml", changes=None, router="router", devices=None):
        """`devices` are the lab's names of those interfaces that have others in the example."""
        self.lab, self.name = lab, name
        example = yaml.safe_load(read(name, file, changes))
        self.config = lab.config(interfaces={}, dataplane={"memory": "256M"})
        self.config.update({section: part for section, part in example.items() if section not in ("dataplane", "control")})
        for interface, settings in self.config["interfaces"].items():
            if "device" in settings:
                settings["device"] = f"net_af_packet,iface={(devices or {}).get(interface, interface)}"
        self.daemons = None
        if "host" in self.config:
            self.daemons = lab.namespace(f"{router}-daemons")
            self.daemons.enable_ipv6()
            self.config["host"] = {"netns": self.daemons.name}
        self.made = []
        self.router = lab.router(self.config, name=router)

    def frr(self, file="frr.conf", changes=None):
        """FRR on the router's interfaces, by the example's file."""
        return self.frr_at(self.daemons, read(self.name, file, changes))

    def frr_at(self, netns, text):
        self.made.append(Frr(netns))
        return self.made[-1].start_by(text)

    def bird(self, file="bird.conf", changes=None):
        return self.bird_at(self.daemons, read(self.name, file, changes))

    def bird_at(self, netns, text):
        self.made.append(Bird(netns))
        return self.made[-1].start(text)

    def exabgp_at(self, netns, file="exabgp.conf"):
        settings = "exabgp.daemon.drop=false", "exabgp.api.cli=false"
        return self._program_at(netns, "env", *settings, "exabgp", EXAMPLES / self.name / file)

    def gobgp_at(self, netns, file="frr.conf"):
        """GoBGP without a file: what it announces is said by the commands in the comments of `file`."""
        program = self._program_at(netns, "gobgpd")
        wait_for(lambda: netns.run("gobgp", "global", check=False).returncode == 0, SECONDS,
                 lambda: f"gobgpd answers\n{program.log}")
        for line in re.findall("^!   (gobgp .*)", read(self.name, file), flags=re.MULTILINE):
            netns.run(*line.split())
        return program

    def _program_at(self, netns, *command):
        self.made.append(Program(netns, *command))
        return self.made[-1]

    def routes(self):
        """Prefix -> the owner and the interfaces that the route leads to, of the routes in use that daemons made."""
        found = {}
        for route in self.router.get("/v1/routes?limit=10000")["routes"]:
            if route["best"] and route["source"] in ("fpm", "netlink", "static"):
                found[route["prefix"]] = (route["owner"], *sorted(hop["interface"] for hop in route["via"]))
        return found

    def expect(self, wanted, seconds=SECONDS):
        """The routes are these, in `seconds`."""
        wait_for(lambda: self.routes() == wanted, seconds, lambda: f"{wanted}; there are {self.routes()}\n{self.said()}")

    def said(self):
        return "\n".join(each.summary() for each in self.made)

    def close(self):
        for each in self.made:
            each.close()

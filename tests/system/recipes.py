"""The examples of `examples/` in a lab: their very files, of which only devices, namespaces and what is named changes."""

import pathlib
import re

import yaml

from basics import ROOT, wait_for
from bird import Bird
from frr import Frr

EXAMPLES = ROOT / "examples"
SECONDS = 40  # until protocols have agreed


def read(name, file, changes=None):
    """A file of an example; each of `changes` is a text that it has and what stands for it here."""
    text = (EXAMPLES / name / file).read_text()
    for old, new in (changes or {}).items():
        assert old in text, f"{name}/{file} has no {old!r}"
        text = text.replace(old, new)
    return text


def part(text, name):
    """A file without its other parts: each begins with `! ---- NAME`."""
    beginning, *parts = re.split("^! ---- ", text, flags=re.MULTILINE)
    (chosen,) = [each for each in parts if each.startswith(name)]
    return f"{beginning}! {chosen}"


def without_fpm(text):
    """A frr.conf for a kernel router."""
    return re.sub(r'zebra_options="[^"]*"|^fpm address .*$', "", text, flags=re.MULTILINE)


class Recipe:
    """A router that runs an example, and the namespace that its TAPs and daemons are in."""

    def __init__(self, lab, name, file="millrace.yaml", router="router", netns=None):
        self.lab, self.name = lab, name
        example = yaml.safe_load(read(name, file))
        self.config = lab.config(interfaces={})
        self.config.update({section: part for section, part in example.items() if section not in ("dataplane", "control")})
        for interface, settings in self.config["interfaces"].items():
            if "device" in settings:
                settings["device"] = f"net_af_packet,iface={interface}"
        self.daemons = None
        if "host" in self.config:
            self.daemons = netns or lab.namespace("daemons")
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

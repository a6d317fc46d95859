"""The built-in engine: perf/generator on memif, af_packet or PCI ports."""

import json
import subprocess

import processes

from .trial import FCS, Engine, Failure, Latency, WayResult


class Builtin(Engine):
    name = "built-in"

    def __init__(self, program, ports, options, log, prefix=()):
        """`ports` are devargs or PCI addresses; `prefix` a command that the program is started by."""
        self.log = log
        self.refused = "waits" if all(":" in port.split(",")[0] for port in ports) else "lost"
        words = [*prefix, str(program), "--core", str(options.generator_core), "--rx-queues", str(options.rx_queues)]
        for port in ports:
            words += ["--port", port]
        words += ["--address", *options.addresses, "--gateway", *options.gateways]
        if options.gateway_macs:
            words += ["--gateway-mac", *options.gateway_macs]
        if options.no_huge:
            words.append("--no-huge")
        with open(log, "wb") as errors:
            self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
                                            start_new_session=True)
        self.version = f"TSC {self._answer()['tsc_hz'] / 1e9:.2f} GHz"

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            tail = "\n  ".join(self.log.read_text(errors="replace").splitlines()[-10:])
            raise Failure(f"the generator ended (exit status {self.process.wait()}):\n  {tail}")
        answer = json.loads(line)
        if "error" in answer:
            raise Failure(f"the generator: {answer['error']}")
        return answer

    def _ask(self, **request):
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # _answer() says why it ended

    def learn(self, seconds):
        self._ask(command="learn", seconds=seconds)
        answer = self._answer()
        if not answer["known"]:
            raise Failure(f"the device did not answer ARP or ND within {seconds} s: MACs {answer['gateways']}, "
                          f"links {answer['links']}")

    def start(self, traffic, phases, drain):
        self._ask(command="trial", drain=drain, refused=self.refused,
                  directions=[self._direction(traffic, way, phases) for way in traffic.ways])

    @staticmethod
    def _direction(traffic, way, phases):
        direction = {"from": way[0], "to": way[1], "flows": traffic.flows,
                     "sizes": [size - FCS for size in traffic.sizes], "ipv6": traffic.ipv6,
                     "phases": [{"rate": phase.rate, "seconds": phase.seconds, "frames": phase.frames}
                                for phase in phases]}
        if traffic.destinations_file and way[0] == 0:
            direction["destinations_file"] = str(traffic.destinations_file)
        else:
            direction["destinations"] = traffic.destinations(way[1])
        return direction

    def finish(self):
        return [self._result(way) for way in self._answer()["directions"]]

    @staticmethod
    def _result(way):
        latency = way.pop("latency_ns")
        if latency:
            latency = Latency(latency["min"], latency["mean"], latency["max"], latency["histogram"], latency["tagged"])
        return WayResult(latency=latency, **way)

    def process_ids(self):
        return [self.process.pid]

    def close(self):
        if self.process.poll() is None:
            self._ask(command="quit")
            processes.reap(self.process)
        self.process.stdin.close()
        self.process.stdout.close()

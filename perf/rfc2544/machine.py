"""What the measurement ran on, and whether it had the machine to itself."""

import os
import pathlib
import platform
import re
import subprocess
import time

import forward
import origin


def describe(root):
    def output(*words):
        try:
            return subprocess.run(words, capture_output=True, text=True, cwd=root).stdout.strip()
        except FileNotFoundError:
            return ""

    info = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", info)
    command_line = pathlib.Path("/proc/cmdline").read_text()
    memory = re.search(r"MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text())
    return {"cpu": model.group(1) if model else platform.machine(), "cores": os.cpu_count(),
            "virtual": "hypervisor" in info, "memory_gb": round(int(memory.group(1)) / 1e6, 1) if memory else None,
            "isolated_cores": "isolcpus=" in command_line, "kernel": platform.release(),
            "load": round(os.getloadavg()[0], 2), "dpdk": output("dpkg-query", "-W", "-f=${Version}", "libdpdk-dev"),
            "millrace": origin.revision()}


def _times(pid):
    """Per thread: seconds on a core, and seconds that it was ready and waited for one."""
    times = {}
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*"):
        try:
            on, waiting = task.joinpath("schedstat").read_text().split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        times[int(task.name)] = (int(on) / 1e9, int(waiting) / 1e9)
    return times


class Share:
    """How much of the time that its busiest thread wanted a process got: 1.0 on a core of its own."""

    def __init__(self):
        self.worst = {}
        self.marks = {}

    def begin(self, processes):
        """`processes`: name -> process ids."""
        self.marks = {name: {pid: _times(pid) for pid in pids} for name, pids in processes.items()}
        self.at = time.monotonic()

    def end(self):
        for name, pids in self.marks.items():
            for pid, before in pids.items():
                spent = [(on - before[task][0], waited - before[task][1]) for task, (on, waited) in _times(pid).items()
                         if task in before]
                if not spent:
                    continue
                on, waited = max(spent)
                if on > 0:
                    self.worst.setdefault(name, []).append(on / (on + waited))

    def medians(self):
        return {name: sorted(shares)[len(shares) // 2] for name, shares in self.worst.items() if shares}


def warnings(machine, shares, cores, late_trials, trials, churn=None):  # pylint: disable=too-many-arguments
    """Sentences for whoever reads the figures."""
    found = []
    if machine["virtual"]:
        found.append("This is a virtual machine: its host takes the cores away now and then, which loses frames that a "
                     "machine of one's own would not lose.")
    if len(set(cores.values())) < len(cores) or machine["cores"] < len(cores) + 1:
        found.append(f"The machine has {machine['cores']} cores, and generator, device and all else shared them "
                     f"({', '.join(f'{name} on {core}' for name, core in cores.items())}): the figures measure the "
                     "scheduling of these programs, too, and are no line rates.")
    if not machine["isolated_cores"]:
        found.append("No core is isolated (isolcpus): other programs may run where the measured ones do.")
    for name, share in shares.items():
        if share < 0.99:
            found.append(f"The {name} had its core only {share:.1%} of the time that it wanted it (the median of the "
                         "trials).")
    if late_trials:
        found.append(f"In {late_trials} of {trials} trials the generator offered more than 1 % less than was "
                     "asked of it: what counts is what it offered.")
    if churn is not None and churn < 0.9 * forward.CHURN_RATE:
        found.append(f"Routes changed {churn:,.0f} times a second, and not the {forward.CHURN_RATE:,} that were asked for: "
                     "the control thread did not get the time.")
    return found

"""What was found, as JSON, Markdown and one HTML file that needs no other."""

import html
import json
import statistics
import time

from .device import MEMIF_RING_LOG2
from .sections import sections

STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8883; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid var(--soft); }
th { font-weight: 600; vertical-align: bottom; } th:first-child, td:first-child { text-align: left; }
.scroll { overflow-x: auto; } .note { border-left: 4px solid #d55e00; padding: .2rem 1rem; background: var(--soft); }
svg { width: 100%; max-width: 46rem; height: auto; font-size: 12px; } svg text { fill: currentColor; }
svg .grid { stroke: var(--soft); } code { background: var(--soft); padding: .1rem .3rem; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; } dd { margin: 0; }
"""


def link_of(arguments):
    if arguments.device == "external":
        return "its ports"
    return f"memif, rings of {1 << MEMIF_RING_LOG2:,} frames" if arguments.link == "memif" else "af_packet and veth"


def settings_of(arguments):
    kind = "quick" if arguments.quick else "full" if arguments.full else "default"
    settings = arguments.settings
    return {"length": kind, "bidirectional": arguments.bidirectional, "ipv6": arguments.ipv6, "networks": arguments.networks,
            "flows": arguments.flows, "line_rate_gbit": arguments.line_rate, "link": link_of(arguments),
            "trial_s": settings.trial, "precision": settings.precision, "late_tolerance": settings.tolerance,
            "table": arguments.table.name if arguments.table else None, "churn": arguments.churn}


def _row(case, found, value, unit, runs):
    return {"case": case, "subject": found["device"].split()[0], "value": value, "unit": unit, "runs": runs}


def rows(found):
    """One figure a row, as all benchmarks have them; the value is the median of the runs."""
    result = []
    for test, sizes in found["results"].items():
        for size, one in sizes.items():
            case = f"{test}/{size if size == 'IMIX' else size + 'B'}"
            if test == "throughput":
                result.append(_row(case, found, one["rate"] / 1e6, "Mpps", [one["rate"] / 1e6]))
            elif test == "mlr":
                result += [_row(f"{case}/{goal['goal']}", found, goal["conditional_throughput"] / 1e6, "Mpps",
                                [goal["conditional_throughput"] / 1e6]) for goal in one["goals"]]
            elif test == "latency":
                result += [_row(f"{case}/{load['share']:.0%}/{name}", found, load[name]["median"] / 1e3, "us",
                                [load[name]["median"] / 1e3])
                           for load in one["loads"] for name in ("typical", "worst_case", "pdv")]
            elif test == "loss":
                result += [_row(f"{case}/{point['share']:.0%}", found, 100 * point["loss_ratio"], "%",
                                [100 * point["loss_ratio"]]) for point in one["points"]]
            elif test == "back-to-back":
                result.append(_row(case, found, statistics.median(one["bursts"]), "frames", list(one["bursts"])))
            elif test == "recovery":
                result.append(_row(case, found, one["seconds"] * 1e3, "ms", [one["seconds"] * 1e3]))
            elif test == "reset":
                result += [_row(f"{case}/{each['kind']}", found, each["seconds"] * 1e3, "ms", [each["seconds"] * 1e3])
                           for each in one["resets"] if each["seconds"] is not None]
    if found["route_changes_per_second"] is not None:
        changes = found["route_changes_per_second"]
        result.append(_row("churn", found, changes, "changes/s", [changes]))
    return result


def facts(found):
    """What one has to know to make anything of the figures."""
    host, settings = found["machine"], found["settings"]
    traffic = (f"{'IPv6' if settings['ipv6'] else 'IPv4'}, {'both ways' if settings['bidirectional'] else 'one way'}, networks: {settings['networks']}, "
               f"flows: {settings['flows']}" + (f", the table {settings['table']}" if settings["table"] else "")
               + (f", {found['route_changes_per_second']:,} route changes a second of 100,000 asked for"
                  if settings["churn"] else ""))
    return [("device", f"{found['device']} ({host['millrace']})"), ("engine", f"{found['engine']}, over {settings['link']}"),
            ("traffic", traffic),
            ("line", f"{settings['line_rate_gbit']:g} Gbit/s, for theory and as the highest rate"),
            ("trials", f"{found['trials']}, {settings['length']}: {settings['trial_s']:g} s each for throughput and loss; a "
             f"trial whose generator was late with more than {settings['late_tolerance']:.1%} of its frames has failed"),
            ("machine", f"{host['cpu']}, {host['cores']} cores{', virtual' if host['virtual'] else ''}, {host['memory_gb']} GB, "
             f"Linux {host['kernel']}, DPDK {host['dpdk'] or 'unknown'}"),
            ("cores", ", ".join(f"{name} on {core}" for name, core in found["cores"].items()) or "of TRex"),
            ("when", f"{time.strftime('%Y-%m-%d %H:%M %Z', time.localtime(found['began']))}, {found['seconds']:.0f} s"),
            ("command", found["command"])]


def _html_table(table):
    head, *body = table
    return ('<div class="scroll"><table><thead><tr>' + "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
            + "</tr></thead><tbody>"
            + "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in body)
            + "</tbody></table></div>")


def as_html(found):
    parts = ['<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
             f'content="width=device-width"><title>RFC 2544: {html.escape(found["device"])}</title><style>{STYLE}</style>'
             f'</head><body><h1>RFC 2544</h1><p>{html.escape(found["device"])}</p>']
    parts += [f'<p class="note">{html.escape(warning)}</p>' for warning in found["warnings"]]
    parts.append("<dl>" + "".join(f"<dt>{name}</dt><dd>{'<code>' if name == 'command' else ''}{html.escape(text)}"
                                  f"{'</code>' if name == 'command' else ''}</dd>" for name, text in facts(found)) + "</dl>")
    for section in sections(found):
        parts.append(f"<h2>{section.title}</h2><p>{html.escape(section.text)}</p>{_html_table(section.table)}")
        parts += section.plots
    return "\n".join(parts) + "\n</body></html>\n"


def as_markdown(found):
    lines = [f"# RFC 2544: {found['device']}", ""]
    for warning in found["warnings"]:
        lines += [f"> {warning}", ""]
    lines += [f"- {name}: {text}" for name, text in facts(found)]
    for section in sections(found):
        head, *body = section.table
        lines += ["", f"## {section.title}", "", section.text, "",
            "| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
        lines += ["| " + " | ".join(row) + " |" for row in body]
    return "\n".join(lines) + "\n"


def text(found):
    """For the terminal: the tables, in columns."""
    lines = []
    for section in sections(found):
        lines += ["", section.title]
        widths = [max(len(row[i]) for row in section.table) for i in range(len(section.table[0]))]
        lines += ["  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths)) for row in section.table]
    lines += ["", *(f"warning: {warning}" for warning in found["warnings"])]
    return "\n".join(lines)


def write(path, found):
    path.parent.mkdir(parents=True, exist_ok=True)
    rest = {key: value for key, value in found.items() if key not in ("command", "machine")}
    path.write_text(json.dumps({"command": found["command"], "machine": found["machine"], "rows": rows(found),
                                "report": rest}, indent=2) + "\n")
    path.with_suffix(".html").write_text(as_html(found))
    path.with_suffix(".md").write_text(as_markdown(found))

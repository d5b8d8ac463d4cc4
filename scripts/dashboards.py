#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Makes what people look at from the lists: metrics (user/lbd/metrics/metrics_list.h, of which what is counted of packets is in
include/lb/counters.h) and alerts (alerts.py).

  dashboards.py             writes configs/grafana/*.json, configs/prometheus/alerts.yml,
                            configs/kubernetes/monitoring/rules.yaml, docs/alerts.md, docs/metrics.md
                            and the tests of the alerts, tests/check/alerts_test.yml
  dashboards.py --check     ends with 1 and names them if what is there is not what would be written
  dashboards.py --metrics   every metric, one a line
  dashboards.py --counters  what is counted: words "word NAME", totals "total NAME METRIC COLUMN", for a test
  dashboards.py --queries   every expression, one a line, as it is asked with all instances and services: for a test

An expression that names a metric which is not in the list is an error.
"""
import json
import os
import re
import sys

from alerts import ALERTS

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LIST = "user/lbd/metrics/metrics_list.h"
COUNTERS = "include/lb/counters.h"
PATHS = {"WHOLE": "/metrics", "SERVICE": "/metrics", "SERVICE_DETAIL": "/metrics/services", "BACKEND": "/metrics/backends"}
ROW = re.compile(r'X\((\w+), (\w+), "(weir_\w+)",\s*((?:"(?:[^"\\]|\\.)*"\s*)+)\)')
I = 'instance=~"$instance"'
S = 'instance=~"$instance", service=~"$service"'


def source(path):
    with open(os.path.join(ROOT, path), encoding="ascii") as file:
        return file.read().replace("\\\n", "\n")


def counters():
    """The lists of counters.h, by name: rows of their arguments, without quotes."""
    found = {}
    for part in re.split(r"#define (?=LB_(?:COUNTERS|TOTALS))", source(COUNTERS))[1:]:
        name = re.match(r"\w+", part)[0]
        rows = re.findall(r'X\(((?:\w+, )+(?:"[^"]*",?\s*)+)\)', part.partition("\n\n")[0])
        found[name] = [[word.strip().strip('"') for word in re.findall(r'"[^"]*"|\w+', row)] for row in rows]
    found["LB_COUNTERS"] += found["LB_COUNTERS_SYNS"]
    found["LB_TOTALS"] = found["LB_TOTALS_FIRST"] + found["LB_TOTALS_MORE"]
    return found


def expanded(text):
    """A list of metrics with the rows that the lists of counters put into it."""
    forms = {form: (name, words) for form, name, words in re.findall(
        r'#define METRIC_OF_(\w+)\(.*?\)\s*X\(\w+##TOTAL, COUNTER, "(\w+?)" metric "_total", help "([^"]*)"\)', source(LIST))}

    def rows(match):
        name, words = forms[match[2]]
        return "".join(f'X({row[2]}, COUNTER, "{name}{row[5]}_total", "{row[7]}{words}")\n' for row in counters()[match[1]])

    return re.sub(r"(LB_TOTALS\w*)\(METRIC_OF_(\w+), X\)", rows, text)


def metrics():
    """name: (type, help, path)"""
    text = expanded(source(LIST))
    found = {}
    for part in re.split(r"#define METRICS_", text)[1:]:
        scope = re.match(r"\w+", part)[0]
        for _, kind, name, words in ROW.findall(part):
            found[name] = (kind, "".join(re.findall(r'"([^"]*)"', words)), PATHS[scope])
    return found


# --- dashboards ------------------------------------------------------------------------------------------------

class Panel:
    """kind: timeseries, stat or table. Targets: (expression, legend)."""

    def __init__(self, title, *targets, kind="timeseries", unit="short", width=12, stack=False, help=""):
        self.title, self.targets, self.kind, self.unit = title, targets, kind, unit
        self.width, self.stack, self.help = width, stack, help

    def json(self, number, x, y):
        height = 4 if self.kind == "stat" else 8
        custom = {"fillOpacity": 10, "stacking": {"mode": "normal" if self.stack else "none"}} if self.kind == "timeseries" else {}
        return {
            "id": number, "type": self.kind, "title": self.title, "description": self.help,
            "datasource": {"type": "prometheus", "uid": "${datasource}"},
            "gridPos": {"x": x, "y": y, "w": self.width, "h": height},
            "fieldConfig": {"defaults": {"unit": self.unit, "min": 0, "custom": custom}, "overrides": []},
            "options": {"legend": {"displayMode": "list", "placement": "bottom"}} if self.kind == "timeseries" else {},
            "targets": [{"refId": chr(65 + i), "expr": expression, "legendFormat": legend,
                         **({"instant": True, "format": "table"} if self.kind == "table" else {})}
                        for i, (expression, legend) in enumerate(self.targets)],
        }


def rate(metric, labels=I, by="instance"):
    return f"sum by ({by}) (rate({metric}{{{labels}}}[$__rate_interval]))"


def stat(title, expression, unit="short", help=""):
    return Panel(title, (expression, "{{instance}}"), kind="stat", unit=unit, width=4, help=help)


FLEET = [
    stat("Balancers that answer", 'sum(up{job="weir"})'),
    stat("Packets in, a second", f'sum(rate(weir_packets_total{{{I}, what="rx"}}[$__rate_interval]))', "pps"),
    stat("Forwarded, bits a second", f"8 * sum(rate(weir_forwarded_bytes_total{{{I}}}[$__rate_interval]))", "bps"),
    stat("Services without a backend", f"sum(weir_empty_services{{{I}}})"),
    stat("Backends that fail checks", f'sum(weir_breaker_backends{{{I}, state="open"}})'),
    stat("Backends without next hop", f"sum(weir_unresolved_backends{{{I}}})"),
    Panel("Packets in by balancer", (rate("weir_packets_total", f'{I}, what="rx"'), "{{instance}}"), unit="pps", stack=True),
    Panel("Share that is dropped", (rate("weir_packets_total", f'{I}, what="drop"') + " / " + rate("weir_packets_total", f'{I}, what="rx"'),
                                    "{{instance}}"), unit="percentunit"),
    Panel("Services by packets", (f"topk(10, sum by (service) (rate(weir_service_packets_total{{{I}}}[$__rate_interval])))", "{{service}}"), unit="pps"),
    Panel("Services by new connections", (f"topk(10, sum by (service) (rate(weir_service_syns_total{{{I}}}[$__rate_interval])))", "{{service}}"), unit="cps"),
    Panel("Health by balancer", (f"sum by (instance, state) (weir_breaker_backends{{{I}}})", "{{instance}} {{state}}")),
    Panel("Checks by how they end", (rate("weir_checks_total", by="outcome"), "{{outcome}}"), unit="ops"),
    Panel("Balancers", (f"weir_build_info{{{I}}}", ""), (f"weir_uptime_seconds{{{I}}}", ""), (f"weir_generation{{{I}}}", ""), kind="table"),
    Panel("VIPs by whether they are announced", (f"sum by (instance, state) (weir_announced_vips{{{I}}})", "{{instance}} {{state}}"),
          (f"weir_fleet_member{{{I}}}", "{{instance}} is of the fleet"), (f"weir_lan_unled{{{I}}}", "{{instance}} LAN without an election")),
    Panel("Configuration: reloads, drift, words by hand", (f"weir_reload_success{{{I}}}", "{{instance}} reload"), (f"weir_degraded{{{I}}}", "{{instance}} degraded"),
          (f"weir_config_drift_keys{{{I}}}", "{{instance}} drift"), (f"weir_overrides{{{I}}}", "{{instance}} overrides")),
]

SERVICE = [
    Panel("The service", (f"weir_service_info{{{S}}}", ""), kind="table", width=24),
    Panel("Packets", (rate("weir_service_packets_total", S, "instance, service"), "{{service}} {{instance}}"), unit="pps"),
    Panel("Bits", ("8 * " + rate("weir_service_bytes_total", S, "instance, service"), "{{service}} {{instance}}"), unit="bps"),
    Panel("New connections", (rate("weir_service_syns_total", S, "instance, service"), "{{service}} {{instance}}"), unit="cps"),
    Panel("Backends: configured, and with new flows", (f"weir_service_backends{{{S}}}", "{{service}} configured"),
          (f"weir_service_eligible_backends{{{S}}}", "{{service}} eligible")),
    Panel("Weight that health leaves, or suspicion took", (f"weir_service_usable_ratio{{{S}}}", "{{service}} usable"),
          (f"weir_service_ejected_ratio{{{S}}}", "{{service}} ejected"), unit="percentunit"),
    Panel("Answered checks, 50th and 99th percentile",
          (f"histogram_quantile(0.5, sum by (le, service) (rate(weir_service_check_seconds_bucket{{{S}}}[$__rate_interval])))", "{{service}} p50"),
          (f"histogram_quantile(0.99, sum by (le, service) (rate(weir_service_check_seconds_bucket{{{S}}}[$__rate_interval])))", "{{service}} p99"), unit="s"),
    Panel("Checks by how they end", (rate("weir_service_checks_total", S, "service, outcome"), "{{service}} {{outcome}}"), unit="ops"),
    Panel("Breakers", (f"weir_service_breaker_backends{{{S}}}", "{{service}} {{state}}")),
    Panel("Open connections", (f"weir_service_open_connections{{{S}}}", "{{service}} {{instance}}")),
    Panel("Handshakes, 50th and 99th percentile (with the client's round trip)",
          (f"histogram_quantile(0.5, sum by (le, service) (rate(weir_service_handshake_seconds_bucket{{{S}}}[$__rate_interval])))", "{{service}} p50"),
          (f"histogram_quantile(0.99, sum by (le, service) (rate(weir_service_handshake_seconds_bucket{{{S}}}[$__rate_interval])))", "{{service}} p99"), unit="s"),
    Panel("What clients' flows tell", (rate("weir_service_observed_total", f'{S}, what=~"started|retried|gave_up|resent|reset_.*"', "service, what"), "{{service}} {{what}}"), unit="cps"),
    Panel("TLS hellos", (rate("weir_service_observed_total", f'{S}, what=~"tls_.*"', "service, what"), "{{service}} {{what}}"), unit="cps"),
    Panel("Open connections by backend", (f"weir_backend_open_connections{{{S}}}", "{{service}} {{backend}}")),
    Panel("Handshakes tried again, share by backend", (rate("weir_backend_observed_total", f'{S}, what="retried"', "service, backend") + " / "
          + rate("weir_backend_observed_total", f'{S}, what="started"', "service, backend"), "{{service}} {{backend}}"), unit="percentunit"),
    Panel("Handshakes by backend, mean: compare siblings", (rate("weir_backend_handshake_seconds_total", S, "service, backend") + " / "
          + rate("weir_backend_observed_total", f'{S}, what="completed"', "service, backend"), "{{service}} {{backend}}"), unit="s"),
    Panel("Packets by backend", (rate("weir_backend_packets_total", S, "service, backend"), "{{service}} {{backend}}"), unit="pps"),
    Panel("New connections by backend", (rate("weir_backend_syns_total", S, "service, backend"), "{{service}} {{backend}}"), unit="cps"),
    Panel("Bits by backend", ("8 * " + rate("weir_backend_bytes_total", S, "service, backend"), "{{service}} {{backend}}"), unit="bps"),
    Panel("Share of the ring", (f"weir_backend_slots{{{S}}} / on (instance, service) group_left sum by (instance, service) (weir_backend_slots{{{S}}})",
                                "{{service}} {{backend}}"), unit="percentunit"),
    Panel("Backends", (f"weir_backend_info{{{S}}}", ""), (f"weir_backend_state{{{S}}}", ""), (f"weir_backend_weight{{{S}}}", ""),
          (f"weir_backend_share_ratio{{{S}}}", ""), (f"weir_backend_nexthop_resolved{{{S}}}", ""), kind="table", width=24),
    Panel("Breaker of each backend: state and time in it", (f"weir_backend_breaker_state{{{S}}}", "{{service}} {{backend}}"),
          (f"weir_backend_breaker_state_seconds{{{S}}}", "{{service}} {{backend}} seconds")),
    Panel("Suspected by clients' handshakes", (f"weir_backend_passive_state{{{S}}}", "{{service}} {{backend}}"), help="1: checked at the fast interval; 2: ejected."),
    Panel("Breakers opened", (rate("weir_backend_breaker_opens_total", S, "service, backend"), "{{service}} {{backend}}")),
    Panel("Checks of each backend", (rate("weir_backend_checks_total", f'{S}, outcome!="ok"', "service, backend, outcome"), "{{service}} {{backend}} {{outcome}}"), unit="ops"),
    Panel("Last answered check", (f"weir_backend_check_seconds{{{S}}}", "{{service}} {{backend}}"), unit="s"),
    Panel("Drains: slots and flows that are left", (f"weir_backend_draining_slots{{{S}}}", "{{service}} {{backend}} slots"),
          (f"weir_backend_flow_entries{{{S}}} and weir_backend_drained{{{S}}}", "{{service}} {{backend}} flows"), (f"weir_service_draining_backends{{{S}}}", "{{service}} backends")),
    Panel("Drains: for how long", (f"weir_backend_draining_seconds{{{S}}}", "{{service}} {{backend}}"), unit="s"),
    Panel("Unsettled slots", (f"weir_service_unsettled_slots{{{S}}}", "{{service}} slots"), (f"weir_service_unsettled_seconds{{{S}}}", "{{service}} seconds")),
    Panel("Packets of unsettled slots", (rate("weir_service_known_packets_total", S, "service"), "{{service}} with an entry"),
          (rate("weir_service_base_packets_total", S, "service"), "{{service}} to base"),
          (rate("weir_backend_known_packets_total", S, "service, backend"), "{{service}} {{backend}} with an entry"),
          (rate("weir_backend_base_packets_total", S, "service, backend"), "{{service}} {{backend}} to base"), unit="pps"),
    Panel("Flow table", (f"weir_service_flow_entries{{{S}}}", "{{service}} entries"), (rate("weir_service_refused_inserts_total", S, "service"), "{{service}} refused"),
          (rate("weir_backend_refused_inserts_total", S, "service, backend"), "{{service}} {{backend}} refused")),
]

BALANCER = [
    stat("Up for", f"weir_uptime_seconds{{{I}}}", "s"),
    stat("Generation", f"weir_generation{{{I}}}"),
    stat("Last reload", f"weir_reload_success_time_seconds{{{I}}} * 1000", "dateTimeFromNow"),
    stat("File was last read", f"weir_reload_time_seconds{{{I}}} * 1000", "dateTimeFromNow"),
    stat("Started", f"weir_start_time_seconds{{{I}}} * 1000", "dateTimeFromNow"),
    stat("lb-checkd", f"weir_checker_connected{{{I}}}"),
    Panel("Packets by what became of them", (rate("weir_packets_total", f'{I}, what!="rx"', "what"), "{{what}}"), unit="pps", stack=True),
    Panel("Drops by reason", (rate("weir_reason_packets_total", f'{I}, action="drop"', "reason"), "{{reason}}"), unit="pps", stack=True),
    Panel("Passed to the host, or answered", (rate("weir_reason_packets_total", f'{I}, action!="drop"', "reason"), "{{reason}}"), unit="pps"),
    Panel("Behind the packet path", (rate("weir_redirect_sent_packets_total", I, "interface"), "{{interface}} sent"),
          (rate("weir_redirect_lost_packets_total", I, "interface"), "{{interface}} lost"), (rate("weir_tx_lost_packets_total", I, "interface"), "{{interface}} lost, sent back"), unit="pps"),
    Panel("Tables: used share", (f"weir_table_used{{{I}}} / weir_table_capacity{{{I}}}", "{{table}}"), unit="percentunit"),
    Panel("Flow table", (f'weir_table_used{{{I}, table="flows"}}', "entries"), (f"weir_flow_embryonic_entries{{{I}}}", "unproven"),
          (rate("weir_refused_inserts_total"), "refused a second")),
    Panel("Unsettled slots", (f"weir_unsettled_slots{{{I}}}", "slots"), (f"weir_unsettled_seconds{{{I}}}", "seconds")),
    Panel("Drains", (f"weir_draining_backends{{{I}}}", "draining"), (f"weir_drained_backends{{{I}}}", "drained")),
    Panel("Health", (f"weir_breaker_backends{{{I}}}", "{{state}}"), (f"weir_health_stale{{{I}}}", "stale"), (f"weir_health_frozen{{{I}}}", "frozen")),
    Panel("Breakers opened, verdicts frozen", (rate("weir_breaker_opens_total"), "opened"), (rate("weir_health_freezes_total"), "frozen")),
    Panel("Checker", (f"weir_checker_targets{{{I}}}", "targets"), (f"weir_checker_late_seconds{{{I}}}", "late, s"), (rate("weir_checks_total"), "checks a second")),
    Panel("The agent: processor time", (rate("weir_agent_cpu_seconds_total"), "agent"), (f"weir_sweeper_cpu_ratio{{{I}}}", "of it the sweeper"), unit="percentunit"),
    Panel("The agent: memory", (f"weir_agent_resident_bytes{{{I}}}", "{{instance}}"), unit="bytes"),
    Panel("The observer: share of flows, share of a core", (f"weir_observe_sampled_ratio{{{I}}}", "sampled"), (f"weir_observe_cost_ratio{{{I}}}", "cost"), unit="percentunit"),
    Panel("The observer: packets, events, refused", (rate("weir_observe_packets_total"), "packets"), (rate("weir_observe_events_total", I, "fate"), "events {{fate}}"),
          (rate("weir_observe_refused_total", I, "place"), "refused {{place}}"), unit="ops"),
    Panel("Made good, and refused", (rate("weir_repairs_total", I, "what"), "{{what}}"), (rate("weir_scrapes_refused_total"), "scrapes refused")),
    Panel("Events, and lines left out of the log", (rate("weir_events_total"), "events"), (rate("weir_log_suppressed_total"), "left out")),
    Panel("Interfaces", (f"weir_interface_info{{{I}}}", ""), (f"weir_interface_attached{{{I}}}", ""), kind="table"),
    Panel("Sources: silent for", (f"weir_source_silent_seconds{{{I}}}", "{{source}}"), unit="s"),
]

CPU_RX = f'rate(weir_cpu_packets_total{{{I}, what="rx"}}[$__rate_interval])'
CORES = [
    Panel("Packets by CPU", (CPU_RX, "{{instance}} CPU {{cpu}}"), unit="pps", stack=True, width=24),
    Panel("Imbalance: the busiest CPU against the mean", (f"max by (instance) ({CPU_RX}) / avg by (instance) ({CPU_RX})", "{{instance}}")),
    Panel("CPUs that get packets", (f"count by (instance) ({CPU_RX} > bool 0)", "{{instance}} of"), (f"sum by (instance) ({CPU_RX} > bool 0)", "{{instance}}")),
    Panel("Drops by CPU", (f'rate(weir_cpu_packets_total{{{I}, what="drop"}}[$__rate_interval])', "{{instance}} CPU {{cpu}}"), unit="pps"),
    Panel("Passed by CPU", (f'rate(weir_cpu_packets_total{{{I}, what="pass"}}[$__rate_interval])', "{{instance}} CPU {{cpu}}"), unit="pps"),
    Panel("Imbalance, as the agent judges it", (f"weir_cpu_imbalance_ratio{{{I}}}", "{{instance}}"), help="Of the last 10 seconds; lbctl status names the likely cause."),
    Panel("Polls by packets that one brought", (rate("weir_cpu_polls_total", I, "packets"), "{{packets}}"), unit="ops", stack=True,
          help="Many of 1 or 2: quiet. Many of 32 and more: bursts, or a core that can hardly keep up."),
    Panel("Packets a poll brought", (f"rate(weir_cpu_polled_packets_total{{{I}}}[$__rate_interval]) / ignoring (packets) sum without (packets) (rate(weir_cpu_polls_total{{{I}}}[$__rate_interval]))",
                                     "{{instance}} CPU {{cpu}}")),
    Panel("Saturation: polls that used up their budget", (rate("weir_cpu_full_polls_total", I, "instance, cpu"), "{{instance}} CPU {{cpu}}"), unit="ops"),
    Panel("Saturation: receiving given up with work left", (rate("weir_cpu_squeezed_total", I, "instance, cpu"), "{{instance}} CPU {{cpu}} squeezed"),
          (rate("weir_cpu_backlog_dropped_packets_total", I, "instance, cpu"), "{{instance}} CPU {{cpu}} backlog drops")),
    Panel("Lost behind the packet path", (rate("weir_cpu_lost_packets_total", I, "instance, cpu"), "{{instance}} CPU {{cpu}}"), unit="pps"),
]

DASHBOARDS = {"fleet": ("Weir: fleet", FLEET, False), "service": ("Weir: service", SERVICE, True),
              "balancer": ("Weir: balancer", BALANCER, False), "cores": ("Weir: cores", CORES, False)}


def variable(name, query):
    return {"name": name, "type": "query", "datasource": {"type": "prometheus", "uid": "${datasource}"}, "query": query, "refresh": 2,
            "multi": True, "includeAll": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"}}


def dashboard(name):
    title, panels, of_services = DASHBOARDS[name]
    variables = [{"name": "datasource", "type": "datasource", "query": "prometheus"}, variable("instance", "label_values(weir_build_info, instance)")]
    if of_services:
        variables.append(variable("service", 'label_values(weir_service_info{instance=~"$instance"}, service)'))
    placed, x, y, row = [], 0, 0, 0
    for number, panel in enumerate(panels, 1):
        if x + panel.width > 24:
            x, y, row = 0, y + row, 0
        placed.append(panel.json(number, x, y))
        x, row = x + panel.width, max(row, placed[-1]["gridPos"]["h"])
    return json.dumps({
        "uid": f"weir-{name}", "title": title, "tags": ["weir"], "schemaVersion": 38, "version": 1, "editable": True, "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"}, "templating": {"list": variables}, "annotations": {"list": []},
        "links": [{"type": "dashboards", "tags": ["weir"], "title": "Weir", "asDropdown": True, "includeVars": True, "keepTime": True}],
        "panels": placed,
    }, indent=1) + "\n"


# --- alerts and pages ------------------------------------------------------------------------------------------

MADE = "Made by scripts/dashboards.py"


def alert_rules():
    lines = [f"# SPDX-License-Identifier: GPL-2.0-only\n# {MADE} from scripts/alerts.py. What to do: docs/alerts.md.\ngroups:\n- name: weir\n  rules:"]
    for alert in ALERTS:
        lines.append(f"  - alert: {alert.name}\n    expr: {json.dumps(f'{alert.value} {alert.fires}')}\n    for: {alert.wait}\n"
                     f"    labels:\n      severity: {alert.severity}\n    annotations:\n      summary: {json.dumps(alert.summary)}\n"
                     f"      runbook: docs/alerts.md#{alert.name.lower()}")
    return "\n".join(lines) + "\n"


def alert_tests():
    """Each alert fires by what is bad and stays calm by what is not; of how long the series are, the last minute."""
    lines = [f"# SPDX-License-Identifier: GPL-2.0-only\n# {MADE} from scripts/alerts.py.\nrule_files:\n- ../../configs/prometheus/alerts.yml\n"
             "evaluation_interval: 1m\ntests:"]
    for alert in ALERTS:
        for series, fires in ((alert.bad, True), (alert.calm, False)):
            minutes = max(sum(int(part.split("x")[1]) for part in values.split()) for values in series.values())
            lines.append(f"- name: {alert.name} {'fires' if fires else 'is calm'}\n  interval: 1m\n  input_series:")
            lines += [f"  - series: {json.dumps(name)}\n    values: {json.dumps(values)}" for name, values in series.items()]
            # Labels and texts are the rules' own: how many there are is asked for.
            lines.append(f"  promql_expr_test:\n  - expr: count(ALERTS{{alertname=\"{alert.name}\", alertstate=\"firing\"}}) or vector(0)\n"
                         f"    eval_time: {minutes}m\n    exp_samples:\n    - value: {int(fires)}")
    return "\n".join(lines) + "\n"


def alert_page():
    lines = [f"# Alerts\n\n{MADE} from scripts/alerts.py. The rules are `configs/prometheus/alerts.yml`; each is tested to fire and to stay calm, and its "
             "expression against a real balancer."]
    for alert in ALERTS:
        lines.append(f"## {alert.name}\n\n*{alert.severity}*, after {alert.wait} of `{alert.value} {alert.fires}`\n\n{alert.runbook}")
    return "\n\n".join(lines) + "\n"


def kubernetes_rules():
    """The same rules for the Prometheus operator."""
    head, mark, groups = alert_rules().partition("groups:\n")
    spec = "".join(f"  {line}" for line in (mark + groups).splitlines(keepends=True))
    return (f"{head}apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: weir\n  labels:\n    app.kubernetes.io/name: weir\n"
            f"spec:\n{spec}")


INTRODUCTION = """# Metrics

{made} from `{list}`.

`/metrics` holds the whole and at most nine series of each service; scrape it of every balancer. `/metrics/services?shard=K/N` has histograms and more of each service,
`/metrics/backends?shard=K/N` each backend, K from 0 to N-1; a service is always in the same shard. Below some thousand backends one shard will do, and above it
choose N so that a shard has some ten thousand. `configs/prometheus/prometheus.yml` is an example, `configs/grafana/` has dashboards for fleet, service, balancer and
cores, [alerts.md](alerts.md) what wakes people.

lbd answers on `api.metrics`, by default on loopback alone, to whoever can reach it, without a password. To have a Prometheus elsewhere scrape it, put a proxy before
it that asks for a token; nginx, with TLS:

    server {{
        listen 9443 ssl;
        ssl_certificate /etc/ssl/balancer.crt;
        ssl_certificate_key /etc/ssl/balancer.key;
        location /metrics {{
            if ($http_authorization != "Bearer THE-TOKEN") {{ return 401; }}
            proxy_pass http://127.0.0.1:9650;
        }}
    }}

and in Prometheus `scheme: https` with `authorization: {{ credentials: THE-TOKEN }}`. The agent's monitor socket (`--monitor-socket`) has the same paths.

Names of services and backends are labels; so are interfaces, escaped, and U+FFFD where a byte is not UTF-8. Packet counters never fall while the pinned maps are there.
What the agent counts of itself (checks, breakers, repairs, scrapes) begins at 0 with it, as `weir_start_time_seconds` tells.
So does what is observed (`weir_*_observed_total`, open connections, handshakes): estimates, scaled up from the flows that are sampled ([observer.md](observer.md));
`weir_observe_sampled_ratio` says how many. Of backends they are there once a flow of theirs was seen.
"""


def metrics_page():
    lines = [INTRODUCTION.format(made=MADE, list=LIST)]
    rows = metrics()
    for path in dict.fromkeys(path for _, _, path in rows.values()):
        lines.append(f"## {path}\n\n| metric | type | |\n|---|---|---|")
        lines += [f"| `{name}` | {kind.lower()} | {words} |" for name, (kind, words, at) in rows.items() if at == path]
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def files():
    made = {f"configs/grafana/{name}.json": dashboard(name) for name in DASHBOARDS}
    made["configs/prometheus/alerts.yml"] = alert_rules()
    made["configs/kubernetes/monitoring/rules.yaml"] = kubernetes_rules()
    made["tests/check/alerts_test.yml"] = alert_tests()
    made["docs/alerts.md"] = alert_page()
    made["docs/metrics.md"] = metrics_page()
    return made


# --- what is asked ---------------------------------------------------------------------------------------------

def queries():
    for _, panels, _ in DASHBOARDS.values():
        for panel in panels:
            yield from (expression for expression, _ in panel.targets)
    for alert in ALERTS:
        yield alert.value


def known(expression, names):
    for name in re.findall(r"\bweir_\w+", expression):
        if name not in names and not any(name == one + suffix and names[one][0] == "HISTOGRAM" for one in names for suffix in ("_bucket", "_sum", "_count")):
            sys.exit(f"dashboards.py: {name} is not in {LIST}: {expression}")


def main(arguments):
    names = metrics()
    for expression in queries():
        known(expression, names)
    if arguments == ["--metrics"]:
        print(*names, sep="\n")
        return 0
    if arguments == ["--counters"]:
        for row in counters()["LB_COUNTERS"]:
            print("word", row[2])
        for row in counters()["LB_TOTALS"]:
            print("total", row[1], row[5], row[6])
        return 0
    if arguments == ["--queries"]:
        for expression in queries():
            print(expression.replace("$instance", ".*").replace("$service", ".*").replace("$__rate_interval", "20s"))
        return 0
    differ = []
    for path, text in files().items():
        path = os.path.join(ROOT, path)
        if arguments == ["--check"]:
            if not os.path.exists(path) or open(path, encoding="utf-8").read() != text:
                differ.append(os.path.relpath(path, ROOT))
            continue
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    if differ:
        print("not what scripts/dashboards.py makes:", *differ)
    return 1 if differ else 0


sys.exit(main(sys.argv[1:]))

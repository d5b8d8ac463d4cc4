# SPDX-License-Identifier: GPL-2.0-only
"""The resources that the API server for tests has, and what it fills in and refuses of each: as much of the real one as a load
balancer meets. What is not named here is stored as it comes."""
import ipaddress
import re

from errors import Failure, invalid


class Resource:
    def __init__(self, group, version, plural, kind, namespaced=True, status=False):
        self.group, self.version, self.plural, self.kind = group, version, plural, kind
        self.namespaced, self.status = namespaced, status
        self.api_version = f"{group}/{version}" if group else version
        self.full = f"{plural}.{group}" if group else plural

    def describe(self):
        verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
        found = [{"name": self.plural, "singularName": self.kind.lower(), "namespaced": self.namespaced, "kind": self.kind, "verbs": verbs}]
        if self.status:
            found.append({**found[0], "name": self.plural + "/status", "singularName": "", "verbs": ["get", "patch", "update"]})
        return found


RESOURCES = [Resource(*row) for row in (
    ("", "v1", "namespaces", "Namespace", False, True),
    ("", "v1", "nodes", "Node", False, True),
    ("", "v1", "services", "Service", True, True),
    ("", "v1", "pods", "Pod", True, True),
    ("", "v1", "configmaps", "ConfigMap"),
    ("", "v1", "secrets", "Secret"),
    ("", "v1", "serviceaccounts", "ServiceAccount"),
    ("", "v1", "events", "Event"),
    ("events.k8s.io", "v1", "events", "Event"),
    ("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice"),
    ("coordination.k8s.io", "v1", "leases", "Lease"),
    ("apps", "v1", "daemonsets", "DaemonSet", True, True),
    ("apps", "v1", "deployments", "Deployment", True, True),
    ("batch", "v1", "jobs", "Job", True, True),
    ("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", False),
    ("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy"),
    ("rbac.authorization.k8s.io", "v1", "roles", "Role"),
    ("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding"),
    ("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", False),
    ("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", False),
    ("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", False, True),
    ("monitoring.coreos.com", "v1", "servicemonitors", "ServiceMonitor"),
    ("monitoring.coreos.com", "v1", "prometheusrules", "PrometheusRule"),
)]
BY_PATH = {(resource.group, resource.version, resource.plural): resource for resource in RESOURCES}
# Both groups of events are one store.
ALIAS = {("events.k8s.io", "events"): BY_PATH[("", "v1", "events")]}

# Fields of Event: core's name, events.k8s.io's name.
EVENT_FIELDS = (("involvedObject", "regarding"), ("message", "note"), ("reportingComponent", "reportingController"),
                ("firstTimestamp", "deprecatedFirstTimestamp"), ("lastTimestamp", "deprecatedLastTimestamp"), ("count", "deprecatedCount"),
                ("source", "deprecatedSource"))
NAME = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
SERVICE_NAME = re.compile(r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
MICRO_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[-+]\d\d:\d\d)$")


def to_group(item, group):
    """An Event as one of its two groups shows it."""
    if item.get("kind") != "Event":
        return item
    pairs = [(b, a) for a, b in EVENT_FIELDS] if group == "" else list(EVENT_FIELDS)
    new = {**item, "apiVersion": "events.k8s.io/v1" if group else "v1"}
    for here, there in pairs:
        if here in new:
            new[there] = new.pop(here)
    return new


class Rules:
    """Defaults and checks. Holds what is given out: cluster IPs and node ports."""

    def __init__(self):
        self.last_ip, self.last_port = 0, 0
        self.ports = set()

    def check_name(self, resource, name):
        good = SERVICE_NAME.match(name) and len(name) <= 63 if resource.plural == "services" else len(name) <= 253 and (
            resource.group == "rbac.authorization.k8s.io" or NAME.match(name))
        if not good:
            raise invalid(resource.kind, resource.group, name, [("metadata.name", f'Invalid value: "{name}": a lowercase RFC 1123 subdomain is wanted')])

    def prepare(self, resource, new, old):
        """Fills in and checks what is about to be stored."""
        work = getattr(self, "_" + resource.plural, None)
        if work:
            work(new, old)

    def check_status(self, resource, new):
        if resource.plural == "services":
            self._ingress(new)

    # --- services

    def _services(self, new, old):
        spec = new.setdefault("spec", {})
        was = (old or {}).get("spec", {})
        spec.setdefault("type", "ClusterIP")
        spec.setdefault("sessionAffinity", "None")
        if spec["sessionAffinity"] == "ClientIP":
            spec.setdefault("sessionAffinityConfig", {}).setdefault("clientIP", {}).setdefault("timeoutSeconds", 10800)
        else:
            spec.pop("sessionAffinityConfig", None)
        causes = []
        for port in spec.get("ports", []):
            port.setdefault("protocol", "TCP")
            port.setdefault("targetPort", port.get("port"))
        self._families(spec, was)
        balanced = spec["type"] == "LoadBalancer"
        if spec["type"] in ("NodePort", "LoadBalancer"):
            spec.setdefault("externalTrafficPolicy", "Cluster")
        else:
            for name in ("externalTrafficPolicy", "healthCheckNodePort", "allocateLoadBalancerNodePorts"):
                if name not in was or was.get("type") != spec["type"]:
                    spec.pop(name, None)
        if balanced:
            spec.setdefault("allocateLoadBalancerNodePorts", True)
        elif was.get("type") == "LoadBalancer":
            new["status"] = {"loadBalancer": {}}
            if spec.get("loadBalancerClass") == was.get("loadBalancerClass"):
                spec.pop("loadBalancerClass", None)
        spec.setdefault("internalTrafficPolicy", "Cluster")
        self._service_checks(spec, was, causes)
        if causes:
            raise invalid("Service", "", new["metadata"]["name"], causes)
        self._node_ports(spec, was)
        new.setdefault("status", {"loadBalancer": {}}).setdefault("loadBalancer", {})

    def _families(self, spec, was):
        if spec["type"] == "ExternalName":
            return
        if spec.get("clusterIP") == "None":
            spec.setdefault("clusterIPs", ["None"])
        policy = spec.setdefault("ipFamilyPolicy", was.get("ipFamilyPolicy", "SingleStack"))
        families = spec.setdefault("ipFamilies", list(was.get("ipFamilies", ["IPv4"])))
        if policy == "SingleStack":
            del families[1:]
        elif len(families) == 1:
            families.append("IPv6" if families[0] == "IPv4" else "IPv4")
        if spec.get("clusterIP") == "None":
            return
        have = list(spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else was.get("clusterIPs", [])))
        for number, family in enumerate(families):
            if number >= len(have):
                self.last_ip += 1
                base = "10.96.0.0" if family == "IPv4" else "fd96::"
                have.append(str(ipaddress.ip_address(base) + self.last_ip))
        spec["clusterIPs"] = have[:len(families)]
        spec["clusterIP"] = spec["clusterIPs"][0]

    def _service_checks(self, spec, was, causes):
        def one_of(field, *values):
            if field in spec and spec[field] not in values:
                causes.append((f"spec.{field}", f'Unsupported value: "{spec[field]}": supported values: ' + ", ".join(f'"{v}"' for v in values)))
        one_of("type", "ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
        one_of("externalTrafficPolicy", "Cluster", "Local")
        one_of("internalTrafficPolicy", "Cluster", "Local")
        one_of("sessionAffinity", "ClientIP", "None")
        one_of("ipFamilyPolicy", "SingleStack", "PreferDualStack", "RequireDualStack")
        if not spec.get("ports") and spec["type"] != "ExternalName" and spec.get("clusterIP") != "None":
            causes.append(("spec.ports", "Required value"))
        seen = set()
        for number, port in enumerate(spec.get("ports", [])):
            at = f"spec.ports[{number}]"
            if not isinstance(port.get("port"), int) or not 1 <= port["port"] <= 65535:
                causes.append((at + ".port", f"Invalid value: {port.get('port')}: must be between 1 and 65535, inclusive"))
            if port["protocol"] not in ("TCP", "UDP", "SCTP"):
                causes.append((at + ".protocol", f'Unsupported value: "{port["protocol"]}": supported values: "SCTP", "TCP", "UDP"'))
            if len(spec["ports"]) > 1 and not port.get("name"):
                causes.append((at + ".name", "Required value"))
            if (port["protocol"], port.get("port")) in seen:
                causes.append((at, f'Duplicate value: {port}'))
            seen.add((port["protocol"], port.get("port")))
        if spec.get("loadBalancerClass") and spec["type"] != "LoadBalancer":
            causes.append(("spec.loadBalancerClass", "Forbidden: may only be used when `type` is 'LoadBalancer'"))
        if was.get("type") == spec["type"] == "LoadBalancer" and was.get("loadBalancerClass") != spec.get("loadBalancerClass"):
            causes.append(("spec.loadBalancerClass", f'Invalid value: "{spec.get("loadBalancerClass")}": may not change once set'))
        if was.get("clusterIP") and spec["type"] != "ExternalName" and was["type"] != "ExternalName" and was["clusterIP"] != spec.get("clusterIP"):
            causes.append(("spec.clusterIPs[0]", f'Invalid value: "{spec.get("clusterIP")}": may not change once set'))
        for number, prefix in enumerate(spec.get("loadBalancerSourceRanges") or []):
            try:
                ipaddress.ip_network(prefix.strip(), strict=False)
            except ValueError:
                causes.append((f"spec.loadBalancerSourceRanges[{number}]", f'Invalid value: "{prefix}": must be a valid CIDR'))

    def _port(self):
        while True:
            self.last_port += 1
            port = 30000 + self.last_port % 2768
            if port not in self.ports:
                self.ports.add(port)
                return port

    def _node_ports(self, spec, was):
        before = {port.get("nodePort") for port in was.get("ports", [])} | {was.get("healthCheckNodePort")}
        wants = spec["type"] == "NodePort" or (spec["type"] == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts"))
        kept = {(port["protocol"], port["port"]): port.get("nodePort") for port in was.get("ports", [])}
        for port in spec.get("ports", []):
            if spec["type"] not in ("NodePort", "LoadBalancer"):
                port.pop("nodePort", None)
            elif wants and not port.get("nodePort"):
                port["nodePort"] = kept.get((port["protocol"], port["port"])) or self._port()
        if spec["type"] == "LoadBalancer" and spec["externalTrafficPolicy"] == "Local":
            if not spec.get("healthCheckNodePort"):
                spec["healthCheckNodePort"] = was.get("healthCheckNodePort") or self._port()
        else:
            spec.pop("healthCheckNodePort", None)
        after = {port.get("nodePort") for port in spec.get("ports", [])} | {spec.get("healthCheckNodePort")}
        self.ports -= before - after
        self.ports |= after - {None}

    def forget(self, resource, old):
        if resource.plural == "services":
            self.ports -= {port.get("nodePort") for port in old["spec"].get("ports", [])} | {old["spec"].get("healthCheckNodePort")}

    def _ingress(self, new):
        causes = []
        ingress = new.get("status", {}).get("loadBalancer", {}).get("ingress") or []
        if ingress and new["spec"]["type"] != "LoadBalancer":
            causes.append(("status.loadBalancer.ingress", "Forbidden: may only be used when `spec.type` is \"LoadBalancer\""))
        for number, item in enumerate(ingress):
            at = f"status.loadBalancer.ingress[{number}]"
            if item.get("ip"):
                try:
                    ipaddress.ip_address(item["ip"])
                except ValueError:
                    causes.append((at + ".ip", f'Invalid value: "{item["ip"]}": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'))
                if "ipMode" not in item:
                    item["ipMode"] = "VIP"
                elif item["ipMode"] not in ("VIP", "Proxy"):
                    causes.append((at + ".ipMode", f'Unsupported value: "{item["ipMode"]}": supported values: "Proxy", "VIP"'))
            elif "ipMode" in item:
                causes.append((at + ".ipMode", "Forbidden: may not be specified when `ip` is not set"))
            for index, port in enumerate(item.get("ports") or []):
                if port.get("protocol") not in ("TCP", "UDP", "SCTP"):
                    causes.append((f"{at}.ports[{index}].protocol", f'Unsupported value: "{port.get("protocol")}"'))
        if causes:
            raise invalid("Service", "", new["metadata"]["name"], causes)

    # --- others

    def _leases(self, new, _old):
        spec = new.setdefault("spec", {})
        for field in ("acquireTime", "renewTime"):
            if field in spec and not MICRO_TIME.match(str(spec[field])):
                raise Failure(400, "BadRequest", f'Lease in version "v1" cannot be handled as a Lease: parsing time "{spec[field]}"')
        if spec.get("leaseDurationSeconds", 1) <= 0:
            raise invalid("Lease", "coordination.k8s.io", new["metadata"]["name"],
                          [("spec.leaseDurationSeconds", f"Invalid value: {spec['leaseDurationSeconds']}: must be greater than 0")])

    def _endpointslices(self, new, old):
        causes = []
        if new.get("addressType") not in ("IPv4", "IPv6", "FQDN"):
            causes.append(("addressType", "Required value" if not new.get("addressType") else f'Unsupported value: "{new["addressType"]}"'))
        if old and old.get("addressType") != new.get("addressType"):
            causes.append(("addressType", "Invalid value: field is immutable"))
        if len(new.get("endpoints") or []) > 1000:
            causes.append(("endpoints", f"Too many: {len(new['endpoints'])}: must have at most 1000 items"))
        if causes:
            raise invalid("EndpointSlice", "discovery.k8s.io", new["metadata"]["name"], causes)
        new.setdefault("endpoints", None)
        new.setdefault("ports", None)

    def _events(self, new, _old):
        about = new.get("involvedObject", {})
        namespace = new["metadata"]["namespace"]
        if (about.get("namespace") or "default") != namespace:
            raise invalid("Event", "", new["metadata"]["name"],
                          [("involvedObject.namespace", f'Invalid value: "{about.get("namespace", "")}": does not match event.namespace')])
        if "eventTime" in new and new["eventTime"] is not None:
            for field, own in (("reportingComponent", "reportingController"), ("reportingInstance", "reportingInstance"), ("action", "action"), ("reason", "reason")):
                if not new.get(field):
                    raise invalid("Event", "", new["metadata"]["name"], [(own, "Required value")])

"""docs/openapi.yaml and the daemon agree: every operation is served and answers as its schema says.

Response objects in the document allow no other properties, so that a field that is not described fails here.
"""

import dataclasses
import http.client
import json
import re
import socket
import urllib.parse

import jsonschema
import pytest
import yaml

from basics import ROOT
from packets import udp

DOCUMENT = yaml.safe_load((ROOT / "docs/openapi.yaml").read_text())
METHODS = ("get", "post", "put", "patch", "delete")
OPERATIONS = {operation["operationId"]: (method.upper(), path, operation)
              for path, item in DOCUMENT["paths"].items()
              for method, operation in item.items() if method in METHODS}
HERE, THERE = "10.1.0.2", "10.2.0.2"
YAML, TEXT, JSON = "application/yaml", "text/plain", "application/json"
MAX_BODY = 64 << 20


# --- the document

def resolved(thing):
    """Follows a $ref into the components."""
    while "$ref" in thing:
        found = DOCUMENT
        for key in thing["$ref"].removeprefix("#/").split("/"):
            found = found[key]
        thing = found
    return thing


def validator(schema):
    """With the components beside the schema, its references resolve by themselves."""
    return jsonschema.Draft202012Validator({**schema, "components": DOCUMENT["components"]},
                                           format_checker=jsonschema.FormatChecker())


def response_contents(operation):
    """(status, media type, schema) of all responses of an operation."""
    for status, response in operation["responses"].items():
        for media_type, content in resolved(response).get("content", {}).items():
            yield status, media_type, content["schema"]


def objects_within(schema, seen=()):
    """Every object schema that a schema leads to."""
    if "$ref" in schema:
        if schema["$ref"] in seen:
            return
        seen, schema = (*seen, schema["$ref"]), resolved(schema)
    if "object" in schema.get("type", ""):
        yield schema
    items = [schema["items"]] if "items" in schema else []
    for inner in [*schema.get("properties", {}).values(), *schema.get("oneOf", []), *items]:
        yield from objects_within(inner, seen)


def test_the_document_is_sound():
    assert DOCUMENT["openapi"].startswith("3.1.")
    for name, schema in DOCUMENT["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        for example in schema.get("examples", []):
            assert not list(validator({"$ref": f"#/components/schemas/{name}"}).iter_errors(example)), name
    for _, path, operation in OPERATIONS.values():
        assert operation["summary"] and operation["responses"]["default"], path
        for parameter in map(resolved, operation.get("parameters", [])):
            assert parameter["description"] and "schema" in parameter, (path, parameter["name"])
            if "example" in parameter:
                validator(parameter["schema"]).validate(str(parameter["example"]) if parameter["in"] == "header"
                                                        else parameter["example"])


def test_the_document_has_every_reference_that_it_makes():
    for reference in re.findall(r"\$ref: '([^']+)'", (ROOT / "docs/openapi.yaml").read_text()):
        assert resolved({"$ref": reference}), reference


@pytest.mark.parametrize("operation_id", OPERATIONS)
def test_response_objects_allow_no_other_properties(operation_id):
    for _, _, schema in response_contents(OPERATIONS[operation_id][2]):
        for found in objects_within(schema):
            assert "additionalProperties" in found and found["additionalProperties"] is not True, found


@pytest.mark.parametrize("operation_id", OPERATIONS)
def test_examples_of_requests_fit_their_schemas(operation_id):
    body = resolved(OPERATIONS[operation_id][2].get("requestBody", {}))
    for content in body.get("content", {}).values():
        validator(content["schema"]).validate(content["example"])


# --- the daemon

@pytest.fixture(scope="module")
def running(module_lab):
    """A router in which no list is empty."""
    inside = module_lab.wire("in")
    outside = module_lab.wire("out")
    config = module_lab.config(
        interfaces={"in": ["10.1.0.1/24"], "out": ["10.2.0.1/24"]},
        routes=[{"prefix": "10.20.0.0/16", "via": THERE}, {"prefix": "10.30.0.0/16", "via": [{"address": THERE, "weight": 3}, "10.2.0.3"]},
                {"prefix": "10.40.0.0/16", "type": "blackhole"}],
        neighbors=[{"address": HERE, "mac": inside.mac, "interface": "in"},
                   {"address": THERE, "mac": outside.mac, "interface": "out"}],
        feeds={"fpm": {}, "netlink": {}})
    router = module_lab.router(config)
    router.config = config
    inside.send(*[udp(inside, HERE, f"10.{n}.0.1") for n in (20, 30, 40, 50)])
    return router


def good_config(running):
    return running.text(running.config)


def other_config(running):
    return running.text({**running.config, "routes": [{"prefix": "10.60.0.0/16", "via": THERE}]})


def restart_config(running):
    return running.text({**running.config, "dataplane": {**running.config["dataplane"], "memory": "256M"}})


def bad_config(running):
    return good_config(running) + "bogus: 1\n"


def one_route(**more):
    return {"prefix": "10.70.0.0/16", "via": THERE, **more}


@dataclasses.dataclass
class Case:
    """A request and the status that it has to get. A body may be made from the running router."""

    operation: str
    status: int = 200
    query: dict = dataclasses.field(default_factory=dict)
    body: object = None
    type: str = JSON
    headers: dict = dataclasses.field(default_factory=dict)
    before: tuple = ()  # cases to run first

    def __str__(self):
        words = [f"{key}={value}" for key, value in self.query.items()]
        if self.body is not None:
            words.append(self.body.__name__ if callable(self.body) else repr(self.body)[:60])
        return "-".join([self.operation, str(self.status), *words])


CASES = [
    Case("getStatus"),
    Case("listInterfaces"),
    Case("listNeighbors"),
    Case("listFeeds"),
    Case("listIpsec"),
    Case("listIpsecEvents"),
    Case("listIpsecEvents", query={"after": "17"}),
    Case("listIpsecEvents", 400, query={"after": "x"}),
    Case("listWorkers"),
    Case("getCounters"),
    Case("listDrops"),
    Case("listDrops", query={"all": 1}),
    Case("listNextHops"),
    Case("getConfig"),
    Case("getMetrics"),
    Case("listRoutes"),
    Case("listRoutes", query={"limit": 1}),
    Case("listRoutes", query={"source": "static", "limit": 10000}),
    Case("listRoutes", query={"prefix": "10.0.0.0/8", "orlonger": 1}),
    Case("listRoutes", query={"prefix": "10.99.0.0/16"}),
    Case("listRoutes", 400, query={"prefix": "bogus"}),
    Case("listRoutes", query={"prefix": "10.0.0.1/8", "orlonger": 1}),
    Case("listRoutes", query={"source": "neighbor"}),
    Case("listRoutes", query={"via": "10.1.0.2"}),
    Case("listRoutes", 400, query={"via": "bogus"}),
    Case("listRoutes", 400, query={"source": "bogus"}),
    Case("listRoutes", 400, query={"limit": 0}),
    Case("listRoutes", 400, query={"limit": 10001}),
    Case("listRoutes", 400, query={"limit": "-1"}),
    Case("listRoutes", 400, query={"after": "bogus"}),
    Case("listFib"),
    Case("listFib", query={"limit": 1}),
    Case("listFib", query={"prefix": "10.0.0.0/8", "orlonger": 1}),
    Case("listFib", 400, query={"prefix": "bogus"}),
    Case("listFib", 400, query={"limit": "x"}),
    Case("lookUp", query={"address": "10.20.1.1"}),
    Case("lookUp", query={"address": "10.30.1.1"}),
    Case("lookUp", query={"address": "10.40.1.1"}),
    Case("lookUp", query={"address": "10.1.0.1"}),
    Case("lookUp", query={"address": "10.1.0.77"}),
    Case("lookUp", query={"address": "10.50.1.1"}),
    Case("lookUp", 400, query={"address": "bogus"}),
    Case("lookUp", 400),
    Case("putRoute", body=one_route()),
    Case("putRoute", body=one_route(distance=30, metric=7, owner="test")),
    Case("putRoute", body={"prefix": "10.71.0.0/16", "via": [THERE, "10.2.0.3"]}),
    Case("putRoute", body={"prefix": "10.72.0.0/16", "type": "prohibit"}),
    Case("putRoute", body=one_route(via={"address": THERE, "weight": 255})),
    Case("putRoute", body=one_route(via=[{"address": THERE, "weight": 2}, "10.2.0.3", {"address": "10.2.0.4"}])),
    Case("putRoute", 400, body=b"{"),
    Case("putRoute", 400, body=b"[]"),
    Case("putRoute", 400, body=b"[" * 100000),
    Case("putRoute", 400, body=b'{"prefix": "\xff"}'),
    Case("putRoute", 400, body={}),
    Case("putRoute", 400, body={"prefix": "10.70.0.0/16"}),
    Case("putRoute", 400, body={"prefix": "10.70.0.1/16", "via": THERE}),
    Case("putRoute", 400, body=one_route(via="bogus")),
    Case("putRoute", 400, body=one_route(via=[])),
    Case("putRoute", 400, body=one_route(via=7)),
    Case("putRoute", 400, body=one_route(via={})),
    Case("putRoute", 400, body=one_route(via={"address": THERE, "weight": 0})),
    Case("putRoute", 400, body=one_route(via={"address": THERE, "weight": 256})),
    Case("putRoute", 400, body=one_route(via={"address": THERE, "bogus": 1})),
    Case("putRoute", 400, body=one_route(via=[THERE, {"address": THERE, "weight": 2}])),
    Case("putRoute", 400, body=one_route(type="blackhole")),
    Case("putRoute", 400, body=one_route(type="bogus")),
    Case("putRoute", 400, body=one_route(distance=-1)),
    Case("putRoute", 400, body=one_route(distance=0)),
    Case("putRoute", 400, body=one_route(distance=256)),
    Case("putRoute", 400, body=one_route(distance=1.5)),
    Case("putRoute", 400, body=one_route(metric=1 << 32)),
    Case("putRoute", 400, body=one_route(owner=7)),
    Case("putRoute", 400, body=one_route(owner="x" * 65)),
    Case("putRoute", 400, body=one_route(bogus=1)),
    Case("deleteRoute", query={"prefix": "10.70.0.0/16"}, before=(Case("putRoute", body=one_route()),)),
    Case("deleteRoute", 404, query={"prefix": "10.99.0.0/16"}),
    Case("deleteRoute", 404, query={"prefix": "10.20.0.0/16"}),  # static: not ours to delete
    Case("deleteRoute", 400, query={"prefix": "bogus"}),
    Case("deleteRoute", 400),
    Case("changeRoutes", body={"routes": [{"action": "add", **one_route()},
                                          {"action": "del", "prefix": "10.70.0.0/16"}]}),
    Case("changeRoutes", body={"routes": []}),
    Case("changeRoutes", body={"routes": [one_route(via="bogus")]}),
    Case("changeRoutes", body=f"# note\n10.80.0.0/16 via {THERE}\n\n10.81.0.0/16 blackhole\ndel 10.80.0.0/16\n",
         type=TEXT),
    Case("changeRoutes", body=f"10.82.0.0/16 via {THERE} weight 3 10.2.0.3\n", type=TEXT),
    Case("changeRoutes", body="bogus\n" * 30, type=TEXT),
    Case("changeRoutes", 400, body=b"{"),
    Case("changeRoutes", 400, body={"routes": 7}),
    Case("changeRoutes", 400, body=[]),
    Case("replaceRoutes", query={"owner": "test"}, body=f"10.90.0.0/16 via {THERE}\n", type=TEXT),
    Case("replaceRoutes", query={"owner": "test"}, body={"routes": []}),
    Case("replaceRoutes", 400, body={"routes": []}),
    Case("replaceRoutes", 400, query={"owner": "x" * 65}, body={"routes": []}),
    Case("checkConfig", query={"file": "a.yaml"}, body=good_config, type=YAML),
    Case("checkConfig", 422, query={"file": "a.yaml"}, body=bad_config, type=YAML),
    Case("checkConfig", 422, query={"file": "a.yaml"}, body="{", type=YAML),
    Case("checkConfig", 422, query={"file": "a.yaml"}, body=b"\xff\xfe\x00", type=YAML),
    Case("diffConfig", query={"file": "a.yaml"}, body=good_config, type=YAML),
    Case("diffConfig", query={"file": "a.yaml"}, body=other_config, type=YAML),
    Case("diffConfig", query={"file": "a.yaml"}, body=restart_config, type=YAML),
    Case("diffConfig", 422, query={"file": "a.yaml"}, body=bad_config, type=YAML),
    Case("applyConfig", query={"file": "a.yaml"}, body=other_config, type=YAML),
    Case("applyConfig", query={"file": "a.yaml"}, body=good_config, type=YAML),
    Case("applyConfig", 422, query={"file": "a.yaml"}, body=bad_config, type=YAML),
    Case("applyConfig", 409, query={"file": "a.yaml"}, body=restart_config, type=YAML),
    Case("applyConfig", 412, query={"file": "a.yaml"}, body=good_config, type=YAML, headers={"If-Match": '"999999"'}),
]


def send(running, case):
    method, path, _ = OPERATIONS[case.operation]
    body = case.body(running) if callable(case.body) else case.body
    if isinstance(body, (dict, list)):
        body = json.dumps(body)
    headers = {**({"Content-Type": case.type} if body is not None else {}), **case.headers}
    query = "?" + urllib.parse.urlencode(case.query) if case.query else ""
    return running.api(method, path + query, body, headers)


def check_answer(case, status, headers, body):
    """The status is the wanted one, and the body is what the document says for it."""
    assert status == case.status, (status, body[:2000])
    media_type = headers["Content-Type"].split(";")[0]
    described = {(code, kind): schema for code, kind, schema in response_contents(OPERATIONS[case.operation][2])}
    schema = described.get((str(status), media_type)) or described.get(("default", media_type))
    assert schema, f"{status} {media_type} is not described"
    value = json.loads(body) if media_type.endswith("json") else body.decode()
    problems = [f"{error.json_path}: {error.message[:500]}" for error in validator(schema).iter_errors(value)]
    assert not problems, "\n".join(problems)
    if status >= 400:
        assert value["status"] == status and value["title"]
    check_headers(case, status, headers)
    return value


def check_headers(case, status, headers):
    response = resolved(OPERATIONS[case.operation][2]["responses"].get(str(status), {}))
    lowered = {name.lower(): value for name, value in headers.items()}
    for name, header in response.get("headers", {}).items():
        assert name.lower() in lowered or not header.get("required"), f"no header {name}"
        validator(header["schema"]).validate(lowered[name.lower()])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_answers_as_described(running, case):
    for first in case.before:
        check_answer(first, *send(running, first))
    check_answer(case, *send(running, case))


def test_every_operation_has_a_case_that_succeeds():
    assert {case.operation for case in CASES if case.status == 200} == set(OPERATIONS)


def test_no_list_of_the_router_is_empty(running):
    """Otherwise the schemas of its items would not have been tried."""
    for path, key in (("interfaces", "interfaces"), ("neighbors", "neighbors"), ("workers", "workers"), ("feeds", "feeds"),
                      ("next-hops", "next_hops"), ("routes", "routes"), ("fib", "entries"), ("drops?all=1", "drops")):
        assert running.get(f"/v1/{path}")[key], path
    assert running.get("/v1/counters")["punt"]
    assert running.get("/v1/fib/lookup?address=10.20.1.1")["adjacencies"]


def test_pages_follow_each_other(running):
    whole = running.get("/v1/routes?limit=10000")
    assert whole["next"] is None and whole["total"] == len(whole["routes"])
    pages, after = [], ""
    while True:
        page = running.get("/v1/routes?limit=1" + (f"&after={urllib.parse.quote(after)}" if after else ""))
        pages += page["routes"]
        if page["next"] is None:
            break
        after = page["next"]
    assert pages == whole["routes"]


@pytest.mark.parametrize("path", DOCUMENT["paths"])
def test_other_methods_of_a_path_are_refused_with_those_that_it_has(running, path):
    known = {method.upper() for method in DOCUMENT["paths"][path]}
    for method in {"GET", "POST", "PUT", "DELETE", "PATCH"} - known:
        status, headers, body = running.api(method, path)
        assert status == 405, (method, status)
        assert headers["Content-Type"].startswith("application/problem+json")
        allowed = {word.strip() for word in headers["Allow"].split(",")}
        assert known <= allowed <= known | {"HEAD", "OPTIONS"}, allowed
        assert json.loads(body)["status"] == 405


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/", "/v1/bogus", "/v1/status/", "/v1/routes:bogus", "/v2/status"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_path_is_a_problem(running, path, method):
    status, headers, body = running.api(method, path)
    assert status == 404
    assert headers["Content-Type"].startswith("application/problem+json")
    validator({"$ref": "#/components/schemas/Problem"}).validate(json.loads(body))


def test_a_body_over_the_limit_is_a_problem(running):
    """It is refused by its length, before any of it has come."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(10)
        client.connect(running.socket)
        client.sendall(b"POST /v1/routes:batch HTTP/1.1\r\nHost: millrace\r\nContent-Type: text/plain\r\n"
                       b"Content-Length: %d\r\n\r\n" % (MAX_BODY + 1))
        response = http.client.HTTPResponse(client)
        response.begin()
        assert response.status == 413
        assert response.getheader("Content-Type").startswith("application/problem+json")
        validator({"$ref": "#/components/schemas/Problem"}).validate(json.loads(response.read()))
    assert running.get("/v1/status")


def test_an_owner_of_any_bytes_does_not_break_the_lists(running):
    """Names come back in JSON, which is UTF-8 whatever was sent."""
    case = Case("replaceRoutes", query={"owner": b"\xff\x1b[31m\x00"}, body="10.91.0.0/16 blackhole\n", type=TEXT)
    status, _, _ = send(running, case)
    assert status in (200, 400)
    check_answer(Case("listRoutes"), *send(running, Case("listRoutes")))
    lookup = Case("lookUp", query={"address": "10.91.0.1"})
    check_answer(lookup, *send(running, lookup))
    send(running, dataclasses.replace(case, body=""))

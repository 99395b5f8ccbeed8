"""The declared API (`api/openapi.json`) as the tests walk it: operations, the fields of their
bodies, what a wrong value for each field is, and whether an answer is one that is documented."""

import copy
import json
import re
from pathlib import Path

import jsonschema_rs

ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENT = json.loads((ROOT / "api/openapi.json").read_text())
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH")
CODE = re.compile(r"DBS\.\d{6}")


def resolve(schema):
    """The schema itself: references followed, the null beside it taken away."""
    while True:
        if "$ref" in schema:
            schema = DOCUMENT["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        elif [one for one in schema.get("oneOf", []) if one.get("type") == "null"]:
            schema = next(one for one in schema["oneOf"] if one.get("type") != "null")
        elif "allOf" in schema:
            parts = [resolve(part) for part in schema["allOf"]]
            merged = {"type": "object", "properties": {}, "required": []}
            for part in parts:
                merged["properties"].update(part.get("properties", {}))
                merged["required"] += part.get("required", [])
            return merged
        else:
            return schema


def kind(schema):
    """The JSON type of a schema, without null."""
    types = resolve(schema).get("type", [])
    return types if isinstance(types, str) else next((one for one in types if one != "null"), None)


class Operation:
    """One call of the document."""

    def __init__(self, method, path, declared):
        self.method, self.path, self.declared = method.upper(), path, declared
        self.id = declared["operationId"]
        self.key = f"{self.method} {path}"
        self.bare = bare(self.key)
        self.legacy = path.startswith(("/v1/", "/v2/"))
        self.path_names = re.findall(r"{(\w+)}", path)
        self.query = [one for one in declared.get("parameters", []) if one["in"] == "query"]
        body = declared.get("requestBody")
        self.request = body and body["content"]["application/json"]["schema"]
        self.body_required = bool(body and body.get("required"))
        self.statuses = {int(status) for status in declared["responses"]}
        self.success = min(status for status in self.statuses if status < 300)

    def __repr__(self):
        return self.id

    def codes(self, status):
        """The error codes that the document gives for a status."""
        return set(CODE.findall(self.declared["responses"].get(str(status), {}).get("description", "")))

    def check(self, answer):
        """Fails unless the document has this answer: status, form of the body, code."""
        assert answer.status in self.statuses, f"undocumented status: {answer}"
        content = self.declared["responses"][str(answer.status)].get("content")
        if content:
            assert answer.body is not None, f"no JSON: {answer}"
            assert answer.headers["Content-Type"].split(";")[0] == "application/json", answer.headers
            validator(content["application/json"]["schema"]).validate(answer.body)
        if answer.status >= 400:
            names = {"errCode", "externalMessage"} if self.legacy else {"error_code", "error_msg"}
            assert set(answer.body) == names, f"the other version's form of errors: {answer}"
            assert answer.code in self.codes(answer.status), f"undocumented code for this status: {answer}"
        return answer


_validators = {}


def validator(schema):
    """A validator of this schema, with the document's other schemas in reach."""
    key = json.dumps(schema, sort_keys=True)
    if key not in _validators:
        whole = {**schema, "components": DOCUMENT["components"]}
        _validators[key] = jsonschema_rs.validator_for(whole)
    return _validators[key]


def bare(key):
    """A call without the names of its path parameters: those are the implementation's choice."""
    return re.sub(r"{\w+}", "{}", key)


OPERATIONS = [
    Operation(method, path, declared)
    for path, item in DOCUMENT["paths"].items()
    for method, declared in item.items()
]
BY_BARE = {operation.bare: operation for operation in OPERATIONS}
WITH_BODY = [operation for operation in OPERATIONS if operation.request]


def find(key):
    """The operation of `GET /v1/{…}/…`, whatever its parameters are called; None when not served."""
    return BY_BARE.get(bare(key))


def example(schema):
    """A value that the schema allows, with every optional field."""
    schema = resolve(schema)
    for word in ("example", "default"):
        if word in schema:
            return schema[word]
    if "enum" in schema:
        return schema["enum"][0]
    of = kind(schema)
    if of == "object" or "properties" in schema:
        value = {name: example(field) for name, field in schema.get("properties", {}).items()}
        extra = schema.get("additionalProperties")
        return {**value, "key": example(extra)} if isinstance(extra, dict) and extra else value
    if of == "array":
        return [example(schema["items"])] * max(1, schema.get("minItems", 1))
    if of == "integer":
        return schema.get("minimum", 1)
    return {"number": 1.0, "boolean": False}.get(of, "x" * max(1, schema.get("minLength", 1)))


def fields(schema, at=()):
    """Every field below a schema: its place, its own schema, whether it must be given. An array's
    entry is the place 0, an entry of a map the place `key`."""
    schema = resolve(schema)
    required = schema.get("required", [])
    below = [(name, field, name in required) for name, field in schema.get("properties", {}).items()]
    if kind(schema) == "array":
        below.append((0, schema["items"], True))
    extra = schema.get("additionalProperties")
    if isinstance(extra, dict) and extra:
        below.append(("key", extra, True))
    for name, field, must in below:
        yield (*at, name), field, must
        yield from fields(field, (*at, name))


def replaced(body, place, value):
    """The body with another value at one place, which is made when it is not there."""
    body = copy.deepcopy(body)
    inner = body
    for step, following in zip(place, place[1:]):
        if isinstance(inner, list):
            if not inner:
                inner.append([] if following == 0 else {})
        elif inner.get(step) is None:
            inner[step] = [] if following == 0 else {}
        inner = inner[step]
    if isinstance(inner, list) and not inner:
        inner.append(value)
    else:
        inner[place[-1]] = value
    return body


def removed(body, place):
    """The body without the field."""
    body = copy.deepcopy(body)
    inner = body
    for step in place[:-1]:
        inner = inner[step]
    inner.pop(place[-1], None)
    return body


TYPES = {
    "string": [5, [], {}, True],
    "integer": ["x", [], {}, True, 1.5, 10**30],
    "number": ["x", [], {}, True],
    "boolean": ["maybe", [], {}, 5],
    "array": ["x", 5, {}, True],
    "object": ["x", 5, [1], True],
}


def wrong_types(schema):
    """Values of other types. A flag that is spelled `true` may be a JSON boolean too."""
    of = kind(schema)
    values = TYPES.get(of, [])
    if of == "string" and set(resolve(schema).get("enum", [])) & {"true", "false"}:
        values = [value for value in values if value is not True]
    return values


def out_of_bounds(schema):
    """Values of the right type beyond what the schema states, with a word for each."""
    schema = resolve(schema)
    of = kind(schema)
    if "enum" in schema:
        yield "none of the values", "no-such-value"
    if of == "string":
        if schema.get("minLength", 0) > 0:
            yield "too short", "x" * (schema["minLength"] - 1)
        if "maxLength" in schema:
            yield "too long", "a" * (schema["maxLength"] + 1)
        if "pattern" in schema:
            yield "not of the pattern", next(
                text for text in ("-é \u0000", "x y", "a<b", "") if not re.search(schema["pattern"], text))
    if of in ("integer", "number"):
        if "minimum" in schema:
            yield "too small", schema["minimum"] - 1
        if "maximum" in schema:
            yield "too large", schema["maximum"] + 1
    if of == "array":
        if schema.get("minItems", 0) > 0:
            yield "too few", []
        if "maxItems" in schema:
            yield "too many", [example(schema["items"])] * (schema["maxItems"] + 1)

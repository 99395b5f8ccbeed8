"""Plain HTTP calls of the API, with a token, a signature or nothing: what the SDK would hide
(statuses, bodies of errors, headers) is what these tests look at."""

import json
from urllib.parse import quote, urlencode

import requests
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.sdk_request import SdkRequest

SECONDS = 60
NO_BODY = object()


class Answer:
    """Status, headers and parsed body of one answer."""

    def __init__(self, response):
        self.status = response.status_code
        self.headers = response.headers
        self.text = response.text
        self.request = f"{response.request.method} {response.request.path_url}"
        try:
            self.body = response.json()
        except ValueError:
            self.body = None

    @property
    def code(self):
        """The error's code, in either spelling."""
        return (self.body or {}).get("errCode") or (self.body or {}).get("error_code")

    @property
    def message(self):
        """The error's text, in either spelling."""
        return (self.body or {}).get("externalMessage") or (self.body or {}).get("error_msg")

    def __repr__(self):
        return f"{self.request} -> {self.status} {self.text[:500]}"


class Caller:
    """Calls with the token of the user that `endpoints` names."""

    def __init__(self, endpoints):
        self.endpoints = endpoints
        self.project = endpoints["project_id"]
        self.session = requests.Session()
        self.session.trust_env = False  # an environment's proxy or CA is not for this server
        self.session.verify = endpoints["ca_file"]
        self.token = self.log_in()

    def log_in(self):
        """A new token for the project."""
        ends = self.endpoints
        user = {"name": ends["username"], "password": ends["password"], "domain": {"name": ends["domain_name"]}}
        answer = self.call("POST", "/v3/auth/tokens", {"auth": {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": {"id": self.project}}}}, token=None)
        assert answer.status == 201, answer
        return answer.headers["X-Subject-Token"]

    def call(self, method, path, body=NO_BODY, query=None, headers=None, token="own", language="en-us"):
        """One call; `body` is anything that JSON can say, or bytes as they are."""
        sent = {"X-Language": language} if language else {}
        if token == "own":
            sent["X-Auth-Token"] = self.token
        elif token is not None:
            sent["X-Auth-Token"] = token
        data = None
        if body is not NO_BODY:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        sent.update(headers or {})
        url = self.endpoints["api"] + path + (f"?{urlencode(query)}" if query else "")
        return Answer(self.session.request(method, url, data=data, headers=sent, timeout=SECONDS))

    def signed(self, method, path, body=NO_BODY, query=None, access_key=None, secret_key=None):
        """One call that is signed with an access key, by the SDK's own signer."""
        ends = self.endpoints
        credentials = BasicCredentials(
            access_key or ends["access_key"], secret_key or ends["secret_key"], self.project)
        data = "" if body is NO_BODY else json.dumps(body)
        request = SdkRequest(
            method=method, schema="https", host=ends["api"].split("//")[1], resource_path=path,
            query_params=list((query or {}).items()), body=data,
            header_params={"Content-Type": "application/json", "X-Project-Id": self.project, "X-Language": "en-us"})
        request.uri = path
        request = credentials.sign_request(request)
        url = ends["api"] + path + (f"?{urlencode(query)}" if query else "")
        return Answer(self.session.request(
            method, url, data=data.encode() or None, headers=request.header_params, timeout=SECONDS))

    def announced(self, method, path, length):
        """One call whose body is only said to be so long; nothing of it is sent."""
        request = requests.Request(method, self.endpoints["api"] + path, headers={
            "X-Auth-Token": self.token, "X-Language": "en-us", "Content-Type": "application/json"}).prepare()
        request.headers["Content-Length"] = str(length)
        return Answer(self.session.send(request, timeout=SECONDS))

    def path(self, template, **names):
        """The path with its parameters; `project_id` is the own project unless it is given."""
        names.setdefault("project_id", self.project)
        escaped = {name: quote(str(value), safe="") for name, value in names.items()}
        # Clients take `..` out of paths; escaped it arrives.
        return template.format(**{name: value.replace(".", "%2E") for name, value in escaped.items()})

"""An OAuth 2.0 token server built with Authlib, and a receiver that takes its bearer tokens alone."""

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer, ResourceProtector
from authlib.oauth2.rfc6749 import ClientMixin
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc6750 import BearerTokenValidator
from flask import Flask, Response, request
from werkzeug.serving import make_server

CLIENT_ID, CLIENT_SECRET = "forwarder", "s3cret-of-the-client"


class Client(ClientMixin):
    """The one known client, which may authenticate in either way."""

    def get_client_id(self) -> str:
        return CLIENT_ID

    def get_default_redirect_uri(self) -> str:
        return ""

    def get_allowed_scope(self, scope: Collection[str] | str | None) -> str:
        return scope if isinstance(scope, str) else " ".join(scope or ())

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == CLIENT_SECRET

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method in ("client_secret_basic", "client_secret_post")

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "client_credentials"


class Grant(ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic", "client_secret_post")


@dataclass
class Issued:
    """A token that the server has given."""

    text: str
    scope: str

    def is_expired(self) -> bool:
        return False

    def is_revoked(self) -> bool:
        return False

    def get_scope(self) -> str:
        return self.scope


@dataclass
class TokenServer:
    """Records the requests to both; a test revokes a token by taking it out of `valid`."""

    port: int = 0
    expires_in: int = 3600
    is_down: bool = False
    refuses_all: bool = False
    forms: list[dict[str, str]] = field(default_factory=list)
    """The form of every request for a token."""
    methods: list[str] = field(default_factory=list)
    valid: dict[str, Issued] = field(default_factory=dict)
    taken: list[str] = field(default_factory=list)
    """The tokens with which requests came to the receiver."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def token_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/token"

    @property
    def hook_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def app(self) -> Flask:
        app = Flask("tokens")
        server = AuthorizationServer(
            app,
            query_client=lambda name: Client() if name == CLIENT_ID else None,
            save_token=self._save,
        )
        server.register_grant(Grant)
        app.config["OAUTH2_TOKEN_EXPIRES_IN"] = {"client_credentials": self.expires_in}
        server.load_config(app.config)
        protector = ResourceProtector()
        protector.register_token_validator(self._validator())

        @app.post("/token")
        def token() -> Any:
            with self.lock:
                self.forms.append(dict(request.form.items()))
                self.methods.append("basic" if "authorization" in request.headers else "post")
            if self.is_down:
                return Response("down", 503)
            return server.create_token_response()

        @app.post("/hook")
        def hook() -> Any:
            with self.lock:
                self.taken.append(request.headers["authorization"].removeprefix("Bearer "))
            with protector.acquire():
                return Response(request.headers["authorization"])  # echoes the secret

        return app

    def _save(self, token: dict[str, Any], _request: Any) -> None:
        self.valid[token["access_token"]] = Issued(token["access_token"], token.get("scope", ""))

    def _validator(self) -> BearerTokenValidator:
        self_, valid = self, self.valid

        class Validator(BearerTokenValidator):
            def authenticate_token(self, token_string: str) -> Issued | None:
                return None if self_.refuses_all else valid.get(token_string)

        return Validator()


@contextmanager
def serving_tokens(**settings: Any) -> Iterator[TokenServer]:
    """The token server and the receiver, on one port, while the block runs."""
    tokens = TokenServer(**settings)
    with make_server("127.0.0.1", 0, tokens.app(), threaded=True) as server:
        tokens.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield tokens
        server.shutdown()
        thread.join()

"""What one kernel has chosen, spent and seen (``Session``): settings, clients, stores, budget, history."""

from __future__ import annotations

import atexit
import importlib
import operator
import os
import threading
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from ..environ_version import environ_version
from ..file_text import FileText
from ..messages import Message
from ..models import routing, tokens
from ..models.routing import Route
from ..models.tokenizers import TokenCount
from ..models.vendors import split_vendor
from ..recording.modes import Mode
from ..recording.single_flight import SingleFlight
from ..recording.store import Store, Tidied
from ..settings import definitions, layers
from ..settings.layers import Settings
from ..settings.origins import Origin
from . import token_counts
from .alike_calls import AlikeCalls, are_plain, mark_params
from .environment import notebook_path, shell, version
from .fetched_files import fix
from .own_send_message import OwnSendMessage
from .plans import Plan, choose_advice, list_tools, make_embedding_plan, make_plan, spell_params
from .prepared import Client, PreparedCall, Services
from .stores import Stores, find_store_path

_OUTSIDE = (Origin.USER_FILE, Origin.ENVIRONMENT)  # settings that do not travel with a notebook and its folder


class Override:
    """Settings that hold until undone; leaving a ``with`` block undoes them.

    >>> from tinyllm_magic import default, override
    >>> with override(temperature=0.5):
    ...     default["temperature"]
    0.5
    """

    def __init__(self, owner: Session, values: Mapping[str, Any]) -> None:
        self._owner, self.values = owner, dict(values)
        owner.overrides.append(self)

    def undo(self) -> None:
        """Take these settings back; undoing twice does nothing."""
        if self in self._owner.overrides:
            self._owner.overrides.remove(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.undo()


class Session:
    """The state of this kernel; ``tinyllm_magic.session`` is the one instance."""

    def __init__(self) -> None:
        self.chosen: dict[str, Any] = {}
        self.overrides: list[Override] = []
        self.services = Services()
        self.budget, self.history = self.services.budget, self.services.history
        self.stores = Stores()
        self.chats: dict[str, tuple[Any, ...]] = {}  # the turns of each conversation, for clients/chats.py
        self.executions: dict[str, str] = {}  # the last execution of each cell that got an answer, by the cell's id
        self._registered: dict[str, Any] | None = None
        self._kinds: Mapping[str, Callable[..., Any]] = {}
        self._pool: dict[Any, Any] = {}
        self._alike: AlikeCalls[PreparedCall] = AlikeCalls()
        self._laid: tuple[tuple[Any, ...], Settings] | None = None
        self._lock = threading.RLock()

    @classmethod
    def add_attribute(cls, name: str, read: Callable[[], Any]) -> None:
        """Let users read what a folder above keeps as ``session.NAME``: ``panel`` and ``last_table`` are added so."""
        setattr(cls, name, property(lambda _: read()))

    def reset_for_tests(self) -> None:
        """Be as new: no choices, no history, no open stores, the built-in clients alone."""
        vars(self).clear()
        Session.__init__(self)

    @property
    def registered(self) -> dict[str, Any]:
        """The clients by API type; the built-in ones are made when somebody first looks for one.

        Their module stands on this one, so it is named here, not imported: were they made when this folder is imported, two
        threads that import it at the same time could meet in a circle of import locks.
        """
        if self._registered is None:
            kinds = importlib.import_module(".client", __package__).CLIENTS
            with self._lock:
                if self._registered is None:
                    self._kinds, self._registered = kinds, self._make_clients(kinds)
        return self._registered

    def _make_clients(self, kinds: Mapping[str, Callable[..., Any]]) -> dict[str, Any]:
        made = {api_type: kind(session=self) for api_type, kind in kinds.items()}
        for client in made.values():
            client.routes_by_model = True
        return made

    # -- settings ----------------------------------------------------------------------------

    def settings(self) -> Settings:
        """The settings that hold now: files and environment, this session's choices, overrides."""
        below, chosen, overrides = layers.load(), self.chosen, tuple(self.overrides)
        if not chosen and not overrides:
            return below
        made_of = (below, chosen, *overrides)  # none of them changes: another takes its place
        if self._laid is not None and len(self._laid[0]) == len(made_of) and all(map(operator.is_, self._laid[0], made_of)):
            return self._laid[1]
        current = below.over(chosen, Origin.SESSION) if chosen else below
        for override in overrides:
            current = current.over(override.values, Origin.OVERRIDE)
        self._laid = (made_of, current)
        return current

    def choose(self, **values: Any) -> None:
        """Set values for the rest of the session (``None`` unsets); raises ``ConfigError`` and changes nothing if one is wrong."""
        checked = {found.name: value for found, value in (definitions.parse(k, v, Origin.SESSION) for k, v in values.items())}
        with self._lock:
            self.chosen = {**self.chosen, **checked}

    def forget(self, *names: str) -> None:
        """Take back this session's choices of these settings; files and environment hold again."""
        with self._lock:
            self.chosen = {n: v for n, v in self.chosen.items() if n not in names}

    def reset(self) -> None:
        """Forget this session's choices and overrides."""
        with self._lock:
            self.chosen = {}
            self.overrides.clear()

    def override(self, **values: Any) -> Override:
        """Settings that hold until undone, above the session's choices."""
        return Override(self, {definitions.parse(k, v, Origin.OVERRIDE)[0].name: v for k, v in values.items()})

    # -- clients -----------------------------------------------------------------------------

    def route(self, model: str | None, current: Settings) -> Route:
        """Which endpoint and model a name means now."""
        memory = self._recall(model, current)
        route = routing.choose_route(
            model=model or (current.model if current.named("model") else None),
            packaged_model=str(current.model),
            api_type=current.api_type,
            models=current.usable_models(),
            memory=memory,
            environ=os.environ,
            base_url=current.base_url,
            api_version=current.azure_api_version,
            registered=tuple(self.registered),
            is_trusted=current.trusts,
        )
        outside = model is None and any(current.source(name).origin in _OUTSIDE for name in ("model", "api_type"))
        return routing.with_memory(route) if outside else route

    def _recall(self, model: str | None, current: Settings) -> Mapping[str, Any]:
        """What the store's header remembers, where nothing else says who is asked."""
        is_told = model or current.named("model") or current.api_type is not None
        return {} if is_told or self.mode(current) is Mode.OFF else self.stores.read_header(current)

    def client(self) -> Any:
        """The client that answers where nothing else is named; raises ``ConfigError`` for an unknown API type."""
        return self.client_for(self.route(None, self.settings()))

    def client_for(self, route: Route) -> Any:
        """The one client of an endpoint: the registered one of its API type, or a twin of it for a named model."""
        registered = self.registered[route.endpoint.api_type]
        if route.name is None or type(registered) not in self._kinds.values():
            return registered
        return self.client_at(route, routes_by_model=True)

    def client_at(self, route: Route, *, routes_by_model: bool = False) -> Any:
        """The one client of this endpoint and model in this process.

        With ``routes_by_model`` another model's name leads it to wherever the settings say, else it stays here.
        """
        mark = (route.endpoint, routes_by_model, route.model, tuple(sorted((k, repr(v)) for k, v in route.defaults.items())))
        with self._lock:
            if mark not in self._pool:
                self._pool[mark] = self.registered[route.endpoint.api_type].pin(route, routes_by_model=routes_by_model)
            return self._pool[mark]

    def register(self, api_type: str, client: Any) -> None:
        """Make a client answer for an API type."""
        client.session, registered = self, self.registered
        if type(client) is not self._kinds.get(api_type):
            client.api_type = api_type
        with self._lock:
            registered[api_type] = client
            self._pool = {mark: twin for mark, twin in self._pool.items() if mark[0].api_type != api_type}

    # -- one call ----------------------------------------------------------------------------

    def prepare(
        self,
        messages: Iterable[Message | Mapping[str, Any]] | str,
        model: str | None = None,
        params: Mapping[str, Any] = MappingProxyType({}),
        *,
        client: Client | None = None,
        call: Callable[..., Any] | None = None,
        mode: str | None = None,
        sample: int = 0,
        settings: Settings | None = None,
        responses: bool = False,
    ) -> PreparedCall:
        """A call that is ready to be made: settings and route are resolved here, once.

        ``params`` are its own parameters and controls (timeout in seconds, attempts), ``client`` one that it is to go
        through, ``call`` a function in place of the transport, ``settings`` those to use instead of the present ones;
        ``responses`` lets it be asked through the Responses API where its route says so.
        Raises ``MessageError``, ``OptionError`` or ``ConfigError`` (all ``ValueError``) for anything wrong.
        """
        current = self.settings() if settings is None else settings
        params = list_tools(params)
        mark = None
        if settings is None and client is None and call is None and responses and are_plain(messages):  # as a cell asks
            mark = self._mark_call({**params, "model": model, "mode": mode, "sample": sample}, current)
            alike = self._alike.find(mark, messages, self.registered)
            if alike is not None:
                return alike
        serving, route = self.resolve(client, model, current)
        how = self._recording_of(serving, current, mode)
        own = serving.own_transport(model, spell_params(params)) if client is None and call is None else call
        responses = responses and serving.takes_responses
        plan = make_plan(messages, route, current, params, **how, sample=sample, transport=own, responses=responses)
        prepared = self.prepare_plan(plan, serving, current)
        if mark is not None and plan.transport is None:
            self._alike.keep(mark, prepared, current, serving, self.registered)
        return prepared

    def _mark_call(self, asked: Mapping[str, Any], current: Settings) -> Hashable:
        """All that a cell's call depends on but its messages; ``None`` where that has to be looked at each time."""
        own = mark_params(asked)
        if own is None or current.leans_on_trust:
            return None
        remembered = tuple((name, repr(value)) for name, value in self._recall(asked["model"], current).items())
        named = current.cache_file_name
        is_folder = bool(named) and os.path.isdir(os.path.join(current.folder, os.path.expanduser(named)))  # noqa: PTH111, PTH112, PTH118  # for each cell
        places = (notebook_path(), is_folder, shell() is None)
        return (own, id(current), environ_version(), places, remembered, tuple(self.registered))

    def prepare_embedding(self, texts: Any, model: str | None = None, *, client: Client | None = None) -> PreparedCall:
        """A call for the embeddings of texts; ``model`` (default: EMBEDDING_MODEL) is a named model, VENDOR:MODEL or an id."""
        current = self.settings()
        asked = model or str(current.embedding_model)
        named = asked if asked in current.models or split_vendor(asked) else None
        serving, route = self.resolve(client, named, current)
        route = route if named else replace(route, model=asked)
        plan = make_embedding_plan(texts, route, current, **self._recording_of(serving, current, None))
        return self.prepare_plan(plan, serving, current)

    def prepare_plan(self, plan: Plan, client: Client | None = None, current: Settings | None = None) -> PreparedCall:
        """A plan with the client and the store of this process."""
        current = self.settings() if current is None else current
        store = None if plan.store is None else self.stores.open(plan.store)
        lookup = None if store is None else self.stores.make_lookup(plan, store, current)
        client = client or self.client_for(plan.route)
        if isinstance(plan.transport, OwnSendMessage):
            plan = replace(plan, transport=plan.transport.bind(client))
        return PreparedCall(plan, client, store, self.services, lookup, advice=choose_advice(plan.mode_origin, current))

    def fix_file(self, url: str, *, mode: str | None = None) -> FileText:
        """The file at a web address, fixed by its digest in the store; raises ``PromptError`` where it cannot be fetched."""
        current = self.settings()
        how = self.mode(current if mode is None else current.over({"mode": mode}, Origin.CALL))
        store = None if how is Mode.OFF else self.store(current)
        lookup = None if store is None else self.stores.look_in(store, how, current)
        advice = choose_advice(current.source("mode").origin if mode is None else Origin.CALL, current)
        return fix(url, how, store, lookup, advice=advice, version=version(), flights=self.services.flights)

    def resolve(self, client: Client | None, model: str | None, current: Settings) -> tuple[Client, Route]:
        """The client and route of a model's name: the session's own clients send elsewhere what belongs elsewhere."""
        if client is not None and client.pinned is not None and (model is None or not client.routes_by_model):
            return client, client.pinned if model is None else client.pinned.for_model(model)
        if client is None or client.routes_by_model:
            route = self.route(model, current)
            return self.client_for(route), route
        route = self.route(model, current.over({"api_type": client.api_type}, Origin.CLIENT))
        return (client if route.endpoint.api_type == client.api_type else self.client_for(route)), route

    def _recording_of(self, client: Client, current: Settings, asked: str | None) -> dict[str, Any]:
        """The mode of a call and its store, which is not looked for where nothing is recorded."""
        mode = self.mode_of(client, current, asked)
        origin = Origin.CALL if asked is not None and Mode.of(asked) is mode else current.source("mode").origin
        return {"mode": mode, "mode_origin": origin, "store": None if mode is Mode.OFF else self.store_path_of(client, current)}

    def mode_of(self, client: Client, current: Settings, asked: str | None) -> Mode:
        """The recording mode of a call: what it asks for, its client's own choice, else the session's."""
        if asked is not None:
            return self.mode(current.over({"mode": asked}, Origin.CALL))
        if client.own_recording is not None and current.source("mode").origin is not Origin.OVERRIDE:
            current = current.over({"cache_api_calls": client.own_recording}, Origin.CLIENT)
        return self.mode(current)

    def store_path_of(self, client: Client, current: Settings) -> Path:
        """The file of a client's recorded answers."""
        own = client.own_store
        return find_store_path(current if own is None else current.over({"cache_file_name": own}, Origin.CLIENT))

    # -- recording ---------------------------------------------------------------------------

    def mode(self, current: Settings) -> Mode:
        """How the store is used: on in a notebook or IPython, off in a plain script unless set."""
        if current.mode is not None:
            return Mode.of(str(current.mode))
        return Mode.AUTO if shell() is not None else Mode.OFF

    def store(self, current: Settings) -> Store:
        """The store that recorded answers are read from and written to."""
        return self.stores.open(find_store_path(current))

    def rename_notebook(self, old: Path, new: Path, root: Path) -> Tidied | None:
        """Follow the notebook to a new name, as ``Stores.rename_notebook`` says."""
        self._alike.clear()  # their stores have moved
        return self.stores.rename_notebook(old, new, root, self.settings())

    def close(self) -> None:
        """Fold what this kernel has appended into the sorted part of its stores."""
        self.stores.tidy()

    def renew(self) -> None:
        """Locks of its own for a forked process."""
        self._lock = threading.RLock()
        self.stores.renew()
        self.services.flights = SingleFlight()

    # -- counting ------------------------------------------------------------------------------

    def count(self, messages: str | Iterable[Message | Mapping[str, Any]], model: str | None = None) -> TokenCount:
        """Tokens of a text or of messages for a model; exact on the embedded model's own tokenizer where it is there."""
        return token_counts.count(messages, self.route(model, self.settings()))

    def cut(self, text: str, limit: int, model: str | None = None) -> str:
        """The beginning of a text that has at most ``limit`` tokens for a model; the same on every machine."""
        return tokens.cut_text(text, limit, self.route(model, self.settings()).model)


session = Session()
"""The state of this kernel."""

atexit.register(session.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=session.renew)

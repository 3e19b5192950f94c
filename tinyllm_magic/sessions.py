"""Choices in, settings and clients out: all that one kernel has chosen, spent and seen.

Knows the only mutable state of the house: settings layers, clients, the store, totals, history.
Does not know templates, threads, how anything is displayed, or the notebook's magics.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from . import models, settings
from .answers import Response
from .cache import Mode, Store
from .clients import OpenAIClient
from .errors import ConfigError, StoreError
from .kinds import CLIENTS, AzureClient
from .ledger import Ledger
from .messages import Message
from .models import Route, TokenCount
from .plans import Plan, Question
from .providers.local import LocalProvider
from .settings import Settings
from .tables import Table

__all__ = ["AzureClient", "Entry", "OpenAIClient", "Override", "Session", "notebook_path", "session", "shell"]

HISTORY_LENGTH = 1000
REPEATS_BEFORE_HINT = 3


@dataclass(frozen=True)
class Entry:
    """One call of this session: when it ended (seconds since 1970), what was asked, and how it ended."""

    when: float
    plan: Plan
    response: Response | None = None
    error: BaseException | None = None


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
        self.unsupported: set[tuple[str, str, str]] = set()
        self.history: deque[Entry] = deque(maxlen=HISTORY_LENGTH)
        self.last_plan: Plan | None = None
        self.last_question: Question | None = None
        self.panel: Any = None
        self.ledger = Ledger()
        self.progress: Callable[[str, int, int], None] | None = None
        self.watch: Callable[[], Callable[[Table], None]] | None = None
        self.last_table: Table | None = None
        self.notebook: Path | None = None
        self.registered: dict[str, OpenAIClient] = {}
        self._pool: dict[Any, OpenAIClient] = {}
        self._stores: dict[Path, Store] = {}
        self._gate: tuple[int, threading.BoundedSemaphore] | None = None
        self._repeats: Counter[str] = Counter()
        self._lock = threading.RLock()
        for api_type, kind in CLIENTS.items():
            self.register(api_type, kind(surroundings=self))
            self.registered[api_type].routes_by_model = True

    # -- settings ----------------------------------------------------------------------------

    def settings(self) -> Settings:
        """The settings that hold now: files and environment, this session's choices, overrides."""
        current = settings.load().over(self.chosen, "session") if self.chosen else settings.load()
        for override in tuple(self.overrides):
            current = current.over(override.values, "override")
        return current

    def choose(self, **values: Any) -> None:
        """Set values for the rest of the session (``None`` unsets); raises ``ConfigError`` and changes nothing if one is wrong."""
        checked = {found.name: value for found, value in (settings.parse(k, v, "session") for k, v in values.items())}
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
        return Override(self, {settings.parse(k, v, "override")[0].name: v for k, v in values.items()})

    # -- clients -----------------------------------------------------------------------------

    def route(self, model: str | None, current: Settings) -> Route:
        """Which endpoint and model a name means now."""
        named = model or (current.model if current.named("model") else None)
        memory: Mapping[str, Any] = {}
        if named is None and current.api_type is None and self.mode(current) is not Mode.OFF:
            memory = self.store(current).header
        return models.choose_route(
            model=named,
            packaged_model=str(current.model),
            api_type=current.api_type,
            models=current.models,
            memory=memory,
            environ=os.environ,
            base_url=current.base_url,
            api_version=current.azure_api_version,
            registered=tuple(self.registered),
            is_trusted=current.trusts,
            store_trusted=memory != {} and settings.trusted(self.store(current).path.parent),
        )

    def client(self) -> OpenAIClient:
        """The client that answers where nothing else is named; raises ``ConfigError`` for an unknown API type."""
        return self.client_for(self.route(None, self.settings()))

    def client_for(self, route: Route) -> OpenAIClient:
        """The one client of an endpoint: the registered one of its API type, or a twin of it for a named model."""
        registered = self.registered[route.endpoint.api_type]
        if route.name is None or type(registered) not in CLIENTS.values():
            return registered
        return self.client_at(route, routes_by_model=True)

    def client_at(self, route: Route, *, routes_by_model: bool = False) -> OpenAIClient:
        """The one client of this endpoint and model in this process.

        With ``routes_by_model`` another model's name leads it to wherever the settings say, else it stays here.
        """
        mark = (route.endpoint, routes_by_model, route.model, tuple(sorted((k, repr(v)) for k, v in route.defaults.items())))
        with self._lock:
            if mark not in self._pool:
                self._pool[mark] = self.registered[route.endpoint.api_type].pinned_to(route, routes_by_model=routes_by_model)
            return self._pool[mark]

    def register(self, api_type: str, client: Any) -> None:
        """Make a client answer for an API type; raises ``ConfigError`` where it is no client."""
        if not isinstance(client, OpenAIClient):
            raise ConfigError(
                f"register_client({api_type!r}, …) takes an instance of OpenAIClient or a subclass, not {type(client).__name__}",
                key="API_TYPE",
            )
        client.surroundings = self
        if api_type not in CLIENTS or type(client) is not CLIENTS[api_type]:
            client.api_type = api_type
        with self._lock:
            self.registered[api_type] = client
            self._pool = {mark: twin for mark, twin in self._pool.items() if mark[0].api_type != api_type}

    def slot(self, cap: int | None) -> AbstractContextManager[Any]:
        """A place among MAX_CONCURRENT_MODEL_CALLS; no cap where that is unset."""
        if cap is None:
            return nullcontext()
        with self._lock:
            if self._gate is None or self._gate[0] != cap:
                self._gate = (cap, threading.BoundedSemaphore(cap))
            return self._gate[1]

    # -- recording ---------------------------------------------------------------------------

    def mode(self, current: Settings) -> Mode:
        """How the store is used: on in a notebook or IPython, off in a plain script unless set."""
        if current.mode is not None:
            return Mode.of(str(current.mode))
        return Mode.AUTO if shell() is not None else Mode.OFF

    def store(self, current: Settings) -> Store:
        """The store that recorded answers are read from and written to."""
        return self.store_at(self.store_path(current))

    def store_path(self, current: Settings) -> Path:
        """The file that recorded answers are read from and written to."""
        return Path(current.cache_file_name or self.store_name()).expanduser().absolute()

    def store_at(self, path: Path) -> Store:
        """The one store of this process for a file."""
        with self._lock:
            if path not in self._stores:
                self._stores[path] = Store(path)
            return self._stores[path]

    def is_recorded(self, plan: Plan) -> bool:
        """Whether a plan will be answered from the store."""
        if plan.store is None or plan.mode not in (Mode.AUTO, Mode.REPLAY):
            return False
        return plan.request.key in self.store_at(plan.store)

    def store_name(self) -> Path:
        """The store beside the notebook, where its name is known; else the only one here, else ``session.llm.jsonl``."""
        notebook = notebook_path()
        if notebook is not None:
            return notebook.with_name(f"{notebook.stem}.llm.jsonl")
        here = [name for name in os.listdir() if name.endswith(".llm.jsonl")]  # noqa: PTH208  # runs for every call; Path costs more
        return Path.cwd() / (here[0] if len(here) == 1 else "session.llm.jsonl")

    def close(self) -> None:
        """Fold what this kernel has appended into the sorted part of its stores."""
        for store in self._stores.values():
            if store.is_changed:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # the kernel is ending: nobody reads them
                    with suppress(StoreError):
                        store.tidy()
                store.appended = 0

    def renew(self) -> None:
        """Locks of its own for a forked process."""
        self._lock = threading.RLock()
        for store in self._stores.values():
            store.renew()

    # -- counting ------------------------------------------------------------------------------

    def count(self, messages: str | Iterable[Message | Mapping[str, Any]], model: str | None = None) -> TokenCount:
        """Tokens of a text or of messages for a model; exact on the embedded model's own tokenizer where it is there."""
        name, engine = self._tokenizer(model)
        if isinstance(messages, str):
            return TokenCount(engine.count_text(messages)) if engine else models.count_text(messages, name)
        known = [Message.of(m) for m in messages]
        return TokenCount(engine.count_messages(known)) if engine and known else models.count_messages(known, name)

    def cut(self, text: str, limit: int, model: str | None = None) -> str:
        """The beginning of a text that has at most ``limit`` tokens for a model; the same on every machine."""
        return models.cut_text(text, limit, self.route(model, self.settings()).model)

    def _tokenizer(self, model: str | None) -> tuple[str, LocalProvider | None]:
        """A model's name, and its engine where it runs here and can start at once."""
        route = self.route(model, self.settings())
        engine = LocalProvider(route.endpoint.path) if route.endpoint.api_type == "local" else None
        return route.model, engine if engine is not None and engine.ready else None

    def preview(self, plan: Plan) -> dict[str, Any]:
        """What ``--dry-run`` tells about a plan: tokens, room, cost estimate, key, whether it is recorded."""
        request = plan.request
        name, engine = self._tokenizer(plan.route.name or request.model)
        texts = [m.text for m in request.messages]
        total = self.count(request.messages, plan.route.name or request.model)
        pieces = [engine.split(t) for t in texts] if engine else [models.split_tokens(t, name) for t in texts]
        most = models.most_expensive(request, plan.route)
        return {
            "tokens": [int(self.count(t, plan.route.name or request.model)) for t in texts],
            "total": int(total),
            "estimated": total.estimated,
            "window": models.window(request.model),
            "max_tokens": request.params.get("max_tokens") or request.params.get("max_completion_tokens"),
            "cost": most or None,
            "model": request.model,
            "params": request.params,
            "key": request.key,
            "recorded": self.is_recorded(plan),
            "pieces": pieces if all(p is not None for p in pieces) else (),
            "notes": plan.notes,
        }

    # -- money and memory ----------------------------------------------------------------------

    def admit(self, plan: Plan) -> float:
        """Called before a live call: what the store should remember of the choice, and the budget.

        Reserves what the call can cost at most, until ``observe`` settles it, and returns that.
        """
        if plan.store is not None and plan.route.memory:
            self.store_at(plan.store).remember(**plan.route.memory)
        return self.ledger.reserve(plan)

    def observe(self, plan: Plan, outcome: Response | BaseException, held: float = 0.0) -> None:
        """Called when a call has ended: history, totals, and what was reserved for it is free again."""
        self.ledger.settle(plan, outcome, held)
        if isinstance(outcome, BaseException):
            self.history.append(Entry(time.time(), plan, error=outcome))
            return
        self.history.append(Entry(time.time(), plan, response=outcome))
        with self._lock:
            self._hint_at_samples(plan, outcome)

    def begin_cell(self) -> None:
        """A new cell starts: repetitions are counted afresh."""
        self._repeats.clear()

    def _hint_at_samples(self, plan: Plan, outcome: Response) -> None:
        """A loop over one request is answered by one record: say once how to draw several."""
        if plan.request.params.get("temperature") == 0 or plan.request.kind != "chat" or shell() is None:
            return  # a plain script has no cells
        self._repeats[outcome.key] += 1  # the live one counts, so that a replayed cell says the same
        if outcome.source == "recorded" and self._repeats[outcome.key] == REPEATS_BEFORE_HINT:
            warnings.warn(
                "the same request was answered by the same record several times in this cell; "
                "to draw different answers use `%%llm -n 5` or sample=0, 1, 2 …",
                stacklevel=2,
            )


def shell() -> Any:
    """The IPython shell of this process, or ``None`` in a plain script; IPython is not imported for it."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None


def notebook_path() -> Path | None:
    """The notebook that this kernel runs, where the front end tells it (Jupyter Server, VS Code)."""
    running = shell()
    told = running.user_ns.get("__vsc_ipynb_file__") if running is not None else None
    told = told or os.environ.get("JPY_SESSION_NAME")
    if not told or not str(told).endswith(".ipynb"):
        return None
    path = Path(str(told))
    return path if path.is_absolute() and path.parent.is_dir() else Path.cwd() / path.name


session = Session()
"""The state of this kernel."""

OpenAIClient.default_surroundings = session
atexit.register(session.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=session.renew)

"""What mypy tells of the public names: the types that a user's editor shows. Checked, never run."""

from typing import assert_type

from tinyllm_magic import LLMCall, OpenAIClient, Response, Store, client, count_tokens, map_rows
from tinyllm_magic.batch.table import Table
from tinyllm_magic.responses import Usage

assert_type(client(), OpenAIClient)
assert_type(int(count_tokens("Hello", model="gpt-4o")), int)

call = LLMCall("You are a poet.", "Write about {{ topic }}.", model="tiny", temperature=0.5)
assert_type(call.call(topic="tea"), str | None)


def read(response: Response, store: Store) -> None:
    """The fields of an answer."""
    assert_type(response.text, str)
    assert_type(response.source, str)
    assert_type(response.usage, Usage | None)
    for record in store.records():
        assert_type(record.key, str)


assert_type(map_rows(call, [{"topic": "tea"}]), Table)

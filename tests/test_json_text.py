import subprocess
import sys
from decimal import Decimal
from enum import Enum

import numpy as np
import pytest

from tinyllm_magic.errors import NoJSONError
from tinyllm_magic.json_text import extract_json, plain_value

THINK = '<think>try {"a": 1}</think>'
PYTHON = """```python
x = {"a": 'don"t', "b": [1]}
```
"""


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (THINK + '{"a":2}', {"a": 2}),
        ('Sure. <thinking>[0, 1</thinking> {"a":2}', {"a": 2}),
        ('so I return {"a": 1</think>\n{"a":2}', {"a": 2}),
        ('{"a": "</think>", "b": "<think>"}', {"a": "</think>", "b": "<think>"}),
        ('Got {"a": "x <think>[1 y"} here.', {"a": "x <think>[1 y"}),
        ('as in [1]: {"a":2}', {"a": 2}),
        ('{"a":2}, as in [12].', {"a": 2}),
        ("The only one is [1].", [1]),
        ('[note] see \\frac{a}{b}, [link](u), xs[i], {x} and [2, p. 5]: {"a":2}', {"a": 2}),
        ('x lies in [0, 1) and (0, 1]: {"a":2}', {"a": 2}),
        ('{} then {"a":2}', {"a": 2}),
        ('Draft {"a":1}, better [2, 3]', [2, 3]),
        ('{"s":"a,]b",}', {"s": "a,]b"}),
        ('Here: {"s": "}, ]\\" ,}", "t": [1, 2 , ] , }.', {"s": '}, ]" ,}', "t": [1, 2]}),
        (PYTHON + '```json\n{"a":2}\n```', {"a": 2}),
        ('```json\n{"a":2}\n```\n' + PYTHON + 'It has {"b": 3}.', {"a": 2}),
        ("~~~ JSON\r\n[1, 2,]\r\n~~~\r\n", [1, 2]),
        ('```json {"a":2}\n```', {"a": 2}),
        ('```\n{"a": 2}\n```', {"a": 2}),
        ('```json\n{"a":1}\n```\nNo:\n```json\n{"a":2}\n```', {"a": 2}),
        ('In [0, 1\n```json\n{"a":2}\n```', {"a": 2}),
        ('```json\n{"a":2}', {"a": 2}),
        ("```json\n42\n```", 42),
        ('```json\n"see [1, 2]"\n```', "see [1, 2]"),
        ("```json\nnull\n```", None),
        ('Here: {"md": "\n```python\nprint(1)\n```\n"}', {"md": "\n```python\nprint(1)\n```\n"}),
        ('As code:\n```python\n{"a": 2}\n```', {"a": 2}),
        (" true\n", True),
        ('"see [1]"', "see [1]"),
    ],
)
def test_the_value_of_an_answer_is_found(text, value):
    assert extract_json(text) == value


@pytest.mark.parametrize(
    "text",
    [
        '{"items": [{"a": 1}, {"a": 2}',
        'Draft {"a": 1}. Final {"a": [1, 2',
        'Final {"a": "it is cut',
        '```json\n{"a": 1}\n```\n```json\n{"a": [1,',
        '```json\n{"a": [1, 2\n```\nThat was {"b": 1}.',
        "<think>perhaps",
        '<think>perhaps {"a": 1}',
        '{"items": [{"a": 1}, ...',
    ],
)
def test_a_value_that_breaks_off_is_an_error_and_no_part_of_it_is_taken(text):
    with pytest.raises(NoJSONError, match="breaks off"):
        extract_json(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}, better {"a": True}',
        '```json\n{"a": 1, // one\n "b": {"c": 2}}\n```',
        '{"a": [1, (2)]}',
        '{"items": [{"a": 1}, ... {"a": 9}]}',
    ],
)
def test_a_value_that_is_no_json_is_an_error_and_no_other_is_taken(text):
    with pytest.raises(NoJSONError, match="cannot be read"):
        extract_json(text)


@pytest.mark.parametrize(
    "text",
    [
        "'[' * 100_000",
        "'{\"a\":' * 100_000",
        "'[' * 100_000 + ']' * 100_000",
        "'x ' + '[[' * 50_000 + ']{' * 50_000",
        "'[1] ' * 100_000",
        "'{\"' + '\\\\' * 100_000",
        "'[1' + ',' * 100_000",
        "'```a\\n[1\\n' * 50_000",
        "'<think>{\"a\":1}' * 50_000",
        "('{' + ' ' * 300) * 3_000",
        "'x' + '<think>' * 100_000 + '</reasoning>' * 100_000",
    ],
)
def test_hostile_brackets_end_in_linear_time(text):
    code = f"""
from tinyllm_magic.json_text import extract_json
try:
    extract_json({text})
except ValueError:
    pass
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=20)  # what is not linear takes minutes


class Level(Enum):
    LOW = "low"


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array([[1, 2]]), [[1, 2]]),
        (Decimal("1.5"), 1.5),
        (Decimal(2), 2),
        (Level.LOW, "low"),
        ({50256: -100, np.int64(1): (1,)}, {"50256": -100, "1": [1]}),
        ([{"a": {"b": Decimal("0.1")}}], [{"a": {"b": 0.1}}]),
    ],
)
def test_numbers_keys_and_tuples_get_their_names_in_json(value, plain):
    assert plain_value(value) == plain
    assert repr(plain_value(value)) == repr(plain)


def test_what_json_cannot_hold_is_left_for_the_request_to_refuse():
    thing = object()
    assert plain_value({"a": thing}) == {"a": thing}


@pytest.mark.parametrize(("text", "value"), [("```\ntrue\n```", True), ("So:\n```\n42\n```", 42), ('```text\n"tea"\n```', "tea")])
def test_a_scalar_alone_in_a_code_block_of_no_json_is_its_value(text, value):
    assert extract_json(text) == value


@pytest.mark.parametrize("text", ["```python\nprint(1)\n```", "```\n```"])
def test_code_that_is_no_scalar_is_no_value(text):
    with pytest.raises(NoJSONError):
        extract_json(text)

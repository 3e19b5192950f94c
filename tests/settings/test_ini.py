"""INI text: comments, values of several lines, encodings, faults; files that change."""

import os
import sys

import pytest
from settingsplace import age, openai

from tinyllm_magic.errors import ConfigError
from tinyllm_magic.settings import ini


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("MODEL=gpt-4 # fast", "model", "gpt-4"),
        ("MODEL=gpt-4 ; fast", "model", "gpt-4"),
        ("MODEL=gpt-4\t#fast", "model", "gpt-4"),
        ("MODEL = # nothing", "model", "gpt-4o-mini"),
        ("TEMPERATURE=0.5 # warm", "temperature", 0.5),
        ("BASE_URL=http://a/b#c;d", "base_url", "http://a/b#c;d"),
        ("BASE_URL=http://a/b%20c%(x)s", "base_url", "http://a/b%20c%(x)s"),
        ('CACHE_FILE_NAME="a # b.jsonl" # why', "cache_file_name", "a # b.jsonl"),
        ("CACHE_FILE_NAME='a ; b'", "cache_file_name", "a ; b"),
        (r"CACHE_FILE_NAME=C:\new\table", "cache_file_name", r"C:\new\table"),
        ("model: x", "model", "x"),
        ("Frequency_Penalty=1", "frequency_penalty", 1.0),
    ],
)
def test_lines_of_a_file(place, line, name, value):
    place.write(openai(line))
    assert place.load().values[name] == value


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_utf8_with_or_without_a_mark(place, encoding):
    place.write(openai("MODEL=größe-ß"), encoding=encoding)
    assert place.load().model == "größe-ß"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_end(place, end):
    (place.here / "config.ini").write_bytes(f"[OpenAI]{end}MODEL=x{end}MAX_ATTEMPTS=2{end}".encode())
    assert (place.load().model, place.load().max_attempts) == ("x", 2)


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("[OpenAI]\n# c\nMODEL=a\nmodel=sk-hidden\n", 4, "MODEL is set a second time"),
        ("[OpenAI]\nMODEL=a\n[OpenAI]\nMODEL=sk-hidden\n", 3, "a second section"),
        ("[OpenAI]\nMODEL=a\nsk-hidden\n", 3, "neither KEY = VALUE"),
        ("[OpenAI]\nMODEL=\xe4\n".encode("latin-1"), 2, "not UTF-8"),
    ],
)
def test_a_broken_file_is_named_with_its_line_and_not_quoted(place, text, line, what):
    path = place.here / "config.ini"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=what) as caught:
        place.load()
    assert f"{path}, line {line}: " in str(caught.value)
    assert "hidden" not in "".join(map(str, (caught.value, caught.value.__cause__, caught.value.__context__)))


def test_an_indented_key_does_not_vanish_in_the_line_above(place):
    place.write(openai("MODEL=x\n  TEMPERATURE=0"))
    with pytest.raises(ConfigError, match="MODEL"):
        place.load()


def test_a_missing_or_odd_config_ini_is_no_file(place):
    (place.here / "config.ini").mkdir()
    assert place.load().model == "gpt-4o-mini"


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="needs a file that may not be read")
def test_an_unreadable_file_is_named(place):
    path = place.write(openai("MODEL=x"))
    path.chmod(0)
    with pytest.raises(ConfigError, match="cannot be read"):
        place.load()


def test_unchanged_files_are_read_once(place, reads):
    age(place.write(openai("MODEL=x")))
    age(place.write(openai("MODEL=y"), user=True))
    first = place.load()
    assert reads.count("config.ini") >= 2
    reads.clear()
    assert place.load() is first
    assert reads == []


def test_a_changed_file_is_read_again(place, reads):
    path = place.write(openai("MODEL=x"))
    age(path)
    assert place.load().model == "x"
    path.write_text(openai("MODEL=y"), encoding="utf-8")
    age(path, 30)
    assert place.load().model == "y"


def test_a_fresh_file_of_equal_size_and_time_is_not_missed(place):
    path = place.write(openai("MODEL=x"))
    now = path.stat().st_mtime_ns
    assert place.load().model == "x"
    path.write_text(openai("MODEL=y"), encoding="utf-8")
    os.utime(path, ns=(now, now))
    assert place.load().model == "y"


def test_forget_reads_a_file_of_equal_size_and_time_anew(place):
    path = place.write(openai("MODEL=x"))
    age(path)
    then = path.stat().st_mtime_ns
    assert place.load().model == "x"
    path.write_text(openai("MODEL=y"), encoding="utf-8")
    os.utime(path, ns=(then, then))
    ini.forget()
    assert (place.load().model, place.read()["OpenAI"]["MODEL"]) == ("y", "y")


def test_a_removed_file_no_longer_counts(place):
    path = place.write(openai("MODEL=x"))
    age(path)
    assert place.load().model == "x"
    path.unlink()
    assert place.load().model == "gpt-4o-mini"

"""A working directory and a user's configuration directory, and texts to put there."""

import configparser
import os
import time
from pathlib import Path

from tinyllm_magic.settings.layers import Settings, load, read_files


def openai(line):
    return f"[OpenAI]\n{line}\n"


class Place:
    """A working directory and a user's configuration directory of its own."""

    def __init__(self, root: Path) -> None:
        self.here, self.user = root / "work", root / "user"
        self.here.mkdir()
        self.user.mkdir()

    def write(self, text: str, *, user: bool = False, encoding: str = "utf-8") -> Path:
        path = (self.user if user else self.here) / "config.ini"
        path.write_text(text, encoding=encoding)
        return path

    def load(self, **environ: str) -> Settings:
        return load(self.here, environ, user_folder=self.user)

    def read(self) -> configparser.ConfigParser:
        return read_files(self.here, user_folder=self.user)


def age(path, seconds=60):
    then = time.time() - seconds
    os.utime(path, (then, then))

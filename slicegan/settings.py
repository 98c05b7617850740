"""Configs as JSON, from presets, and with single settings changed.

A preset is a JSON file beside this one (``presets/paper.json``, ...): data, not code.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import asdict
from importlib import resources
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from metrics.volume import InputError
from slicegan.config import Config

T = TypeVar("T")


def to_json(config: Any) -> str:
    """JSON text of one of the dataclasses of `slicegan.config`, or of one that holds them."""
    return json.dumps(asdict(config), indent=2)


def from_json(text: str | bytes, kind: type[T]) -> T:
    """Read such a dataclass from JSON text; what is left out has its default.

    Raises
    ------
    InputError
        If the text is no JSON, or a key, type or value is wrong.
    """
    try:
        return TypeAdapter(kind).validate_json(text)
    except ValidationError as error:
        raise InputError(_first(error, kind)) from None


def presets() -> list[str]:
    """Names of the presets."""
    files = resources.files("slicegan").joinpath("presets").iterdir()
    return sorted(file.name.removesuffix(".json") for file in files)


def preset(name: str) -> Config:
    """Config of a preset.

    Raises
    ------
    InputError
        If there is none of this name.
    """
    if name not in presets():
        raise InputError(f"no preset {name!r}: there are {', '.join(presets())}")
    file = resources.files("slicegan").joinpath("presets", f"{name}.json")
    return from_json(file.read_text(encoding="utf-8"), Config)


def override(config: Config, settings: Iterable[str]) -> Config:
    """Return a config with settings such as ``training.steps=500`` or ``critic.leak=0.2``.

    Values are JSON; text needs no quotes.

    Raises
    ------
    InputError
        If a setting is not ``key=value``, or its key, type or value is wrong.

    Examples
    --------
    >>> override(Config(), ["training.steps=500", "training.loss=relativistic"]).training.steps
    500
    """
    tree = asdict(config)
    for setting in settings:
        key, equals, text = setting.partition("=")
        section, _, name = key.strip().partition(".")
        if not equals or not name:
            raise InputError(
                f"expected section.key=value, got {setting!r}: e.g. training.steps=500"
            )
        known = [f"{part}.{item}" for part, items in tree.items() for item in items]
        if f"{section}.{name}" not in known:
            near = difflib.get_close_matches(f"{section}.{name}", known, n=1, cutoff=0.0)
            raise InputError(f"no setting {section}.{name}: did you mean {near[0]}?")
        tree[section][name] = _value(text.strip())
    return from_json(json.dumps(tree), Config)


def _value(text: str) -> Any:
    """A JSON value, or the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _first(error: ValidationError, kind: type) -> str:
    """Return the first thing that is wrong, in one line."""
    detail = error.errors()[0]
    where = ".".join(str(part) for part in detail["loc"]) or kind.__name__
    got = "" if isinstance(detail["input"], dict | bytes | str) else f", got {detail['input']!r}"
    return f"{where}: {detail['msg']}{got}"

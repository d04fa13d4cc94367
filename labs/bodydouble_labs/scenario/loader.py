"""Reads scenario files: text to `Scenario`, or a `ScenarioError` that names file, line, key and what was expected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from bodydouble.errors import InputError
from bodydouble_labs.errors import ScenarioError
from bodydouble_labs.scenario.document import MAX_BYTES, Document, parse
from bodydouble_labs.scenario.meaning import check_meaning
from bodydouble_labs.scenario.model import SINGLE_KEYS, NamedProtectionSpec, Scenario, ScenarioHead
from bodydouble_labs.scenario.phrases import suggestion
from bodydouble_labs.scenario.steps import ACTIONS, AnyStep, PutStep
from bodydouble_labs.scenario.structure import action_keys, check_structure

MAX_PUT_BYTES = 16 * 1024 * 1024


def shipped_directory() -> Path:
    """Where the shipped scenarios are: inside the installed package, or ``labs/scenarios`` of a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "scenarios"
    return installed if installed.is_dir() else package.parent / "scenarios"


def shipped_names() -> list[str]:
    """Names of the shipped scenarios, sorted."""
    return sorted(path.stem for path in shipped_directory().glob("*.yaml"))


def find(name_or_file: str) -> Path:
    """The file that a command-line argument means: a path, or the name of a shipped scenario.

    Raises:
        InputError: there is no such file and no such scenario; the message lists what exists.
    """
    path = Path(name_or_file)
    looks_like_a_path = path.suffix in (".yaml", ".yml") or len(path.parts) > 1
    if looks_like_a_path or path.is_file():
        return path
    names = shipped_names()
    if name_or_file in names:
        return shipped_directory() / f"{name_or_file}.yaml"
    hint = suggestion(name_or_file, names)
    raise InputError(f"no scenario named {name_or_file!r}{hint}; shipped scenarios: {', '.join(names) or 'none'}")


def load(file: Path) -> Scenario:
    """Read and check one scenario file.

    Raises:
        ScenarioError: the file cannot be read or anything in it is wrong.
    """
    document = parse(_read(file), str(file))
    check_structure(document)
    scenario = _convert(document, file)
    check_meaning(document, scenario)
    return scenario


def _read(file: Path) -> bytes:
    try:
        if not file.is_file():
            raise ScenarioError(str(file), 0, "", "no such file" if not file.exists() else "not a regular file")
        with file.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ScenarioError(str(file), 0, "", f"cannot be read: {error.strerror}") from None


def _convert(document: Document, file: Path) -> Scenario:
    """Values that passed the schema to the model; a step's action key selects its class."""
    head = {key: value for key, value in document.value.items() if key != "timeline"}
    if "protections" not in head:
        single = {key: head.pop(key) for key in SINGLE_KEYS}
        named = {"": {**single.pop("protection"), **single}}
    else:
        named = head.pop("protections")
    try:
        parts = msgspec.structs.asdict(msgspec.convert(head, ScenarioHead))
        protections = {name: msgspec.convert(value, NamedProtectionSpec) for name, value in named.items()}
    except msgspec.ValidationError as error:  # the schema is derived from the same types: a difference is a defect
        raise document.error((), str(error)) from None
    parts = {key: value for key, value in parts.items() if key not in (*SINGLE_KEYS, "protections")}
    steps = [_step(document, index, value) for index, value in enumerate(document.value["timeline"])]
    files = _put_files(document, steps, file)
    return Scenario(**parts, protections=protections, timeline=steps, file=str(file), files=files)


def _step(document: Document, index: int, value: dict[str, Any]) -> AnyStep:
    (action,) = action_keys(value)
    try:
        return msgspec.convert(value, ACTIONS[action])
    except msgspec.ValidationError as error:
        raise document.error(("timeline", index), str(error)) from None


def _put_files(document: Document, steps: list[AnyStep], file: Path) -> dict[str, bytes]:
    """The bytes of every file that a ``put`` step names."""
    found: dict[str, bytes] = {}
    for index, step in enumerate(steps):
        if not isinstance(step, PutStep):
            continue
        for number, item in enumerate(step.put):
            path = ("timeline", index, "put", number)
            data = found.setdefault(item.from_, _read_put(document, (*path, "from"), item.from_, file))
            for text in item.replace:
                if text.encode() not in data:
                    raise document.error((*path, "replace", text), f"the text {text!r} does not occur in {item.from_}")
    return found


def _read_put(document: Document, key: tuple[str | int, ...], name: str, file: Path) -> bytes:
    relative = Path(name)
    if relative.is_absolute() or ".." in relative.parts:
        raise document.error(key, f"{name!r}: expected a path beneath the scenario file's directory")
    candidates = [file.resolve().parent / relative, shipped_directory() / relative]
    for candidate in candidates:
        if candidate.is_file():
            if candidate.stat().st_size > MAX_PUT_BYTES:
                raise document.error(key, f"{candidate}: larger than {MAX_PUT_BYTES} bytes")
            return candidate.read_bytes()
    looked = " nor ".join(str(candidate) for candidate in dict.fromkeys(candidates))
    raise document.error(key, f"no such file: neither {looked}")

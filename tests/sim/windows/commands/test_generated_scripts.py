"""Scripts that Hypothesis writes: the interpreter neither crashes nor runs away, and does the same thing twice."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.sim.windows.commands.corpus import machine

from bodydouble_sim.windows.command_interpreter.interpreter import Interpreter
from bodydouble_sim.windows.command_interpreter.limits import OUTPUT_LIMIT, STEP_LIMIT
from bodydouble_sim.windows.shell import Shell
from bodydouble_sim.windows.version import NT_4, WINDOWS_2000

if TYPE_CHECKING:
    from bodydouble_sim.windows.version import WindowsVersion

PROFILE = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
WORDS = st.sampled_from(
    [
        "a",
        "%1",
        "%v%",
        "!v!",
        "%%i",
        "%~dp0",
        "%%~nxi",
        "C:\\t\\f.txt",
        '"two words"',
        "%v:~1,2%",
        "^&",
        "1",
        "x=y",
        "*.*",
        "%*",
    ]
)
NAMES = st.sampled_from(["v", "w", "n", "path"])
TARGETS = st.sampled_from(["nul", "C:\\t\\out.txt", "C:\\none\\x", "C:\\t\\f.txt", "con"])
LABELS = st.sampled_from(["one", "two", "three", "eof", ":eof"])
TEXT = st.lists(WORDS, max_size=3).map(" ".join)
CONDITIONS = st.one_of(
    st.builds("exist {}".format, TARGETS),
    st.builds("errorlevel {}".format, st.integers(-1, 3)),
    st.builds("defined {}".format, NAMES),
    st.builds('"{}"=="{}"'.format, WORDS, WORDS),
    st.builds("{} {} {}".format, st.integers(0, 3), st.sampled_from(["equ", "lss", "geq"]), st.integers(0, 3)),
)
SETS = st.one_of(
    st.builds("for %%i in ({}) do ".format, TEXT),
    st.builds("for /l %%i in ({},{},{}) do ".format, st.integers(0, 3), st.integers(-1, 2), st.integers(0, 4)),
    st.builds("for /f \"tokens=1,2* delims=e \" %%i in ('echo {}') do ".format, st.sampled_from(["a b c", "hello"])),
    st.just("for /f %%i in (C:\\t\\f.txt) do "),
    st.just("for /r C:\\t %%i in (*.txt) do "),
    st.just("for /d %%i in (C:\\*) do "),
)
SIMPLE = st.one_of(
    st.builds("echo {}".format, TEXT),
    st.builds("set {}={}".format, NAMES, TEXT),
    st.builds("set {0}=%{0}%%{0}%x".format, NAMES),
    st.builds(
        "set /a n{}{}".format,
        st.sampled_from(["=", "+=", "*=", "<<="]),
        st.sampled_from(["1", "n+1", "(2", "7/0", "~n"]),
    ),
    st.builds("goto {}".format, LABELS),
    st.builds("call :{} {}".format, LABELS, TEXT),
    st.builds("call echo {}".format, TEXT),
    st.builds("exit /b {}".format, st.integers(-1, 3)),
    st.builds("type {}".format, TARGETS),
    st.builds("del /q {}".format, TARGETS),
    st.builds("copy {} {}".format, TARGETS, TARGETS),
    st.builds("cd {}".format, WORDS),
    st.builds("pushd {}".format, WORDS),
    st.builds("cmd /c {}".format, TEXT),
    st.sampled_from(
        """shift;setlocal;setlocal enabledelayedexpansion;endlocal;popd;rem & x;ver;dir /b;set;C:\\t\\script.bat;exit;
sort;call C:\\t\\script.bat;pause;set /p v=;find "a";nonsense;start x""".replace("\n", "").split(";")
    ),
)


def _combined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    joined = st.sampled_from([" & ", " && ", " || ", " | "])
    redirection = st.sampled_from([">", ">>", "2>", "<", "1>&2 >"])
    return st.one_of(
        st.builds("{}{}{}".format, inner, joined, inner),
        st.builds("({}) {} {}".format, inner, redirection, TARGETS),
        st.builds("{} {}{}".format, inner, redirection, TARGETS),
        st.builds("if {} ({}) else {}".format, CONDITIONS, inner, inner),
        st.builds("if not {} {}".format, CONDITIONS, inner),
        st.builds("{}{}".format, SETS, inner),
        st.builds("(\n{}\n{}\n)".format, inner, inner),
        st.builds("@{}".format, inner),
    )


COMMANDS = st.recursive(SIMPLE, _combined, max_leaves=8)
LINES = st.one_of(COMMANDS, LABELS.map(lambda name: f":{name.strip(':')}"))
SCRIPTS = st.lists(LINES, min_size=1, max_size=10).map("\n".join)
NOISE = st.text(st.sampled_from(list('%!^&|<>()"@:;,=~*?/\\ \tabefilort0129\n')), max_size=120)
VERSIONS = pytest.mark.parametrize("version", [NT_4, WINDOWS_2000], ids=lambda version: version.key)


def run(version: WindowsVersion, text: str) -> tuple[int, str, int]:
    """Errorlevel, output and steps of a script that is run on a machine of its own."""

    async def scenario() -> tuple[int, str, int]:
        system = machine(version)
        system.write_file("C:/t/f.txt", b"hello there\r\na b c\r\n")
        system.write_file("C:/t/long.txt", b"a" * 80 + b"\r\n")
        data = text.replace("\n", "\r\n").encode("utf-8", "replace")
        system.write_file("C:/t/script.bat", data)
        shell = Shell.open(system, {"PATH": "C:\\WINNT\\system32", "v": "value"}, ["y", "text"])
        code = await Interpreter(shell).run_file("C:/t/script.bat", ["first", "second word"])
        return code, shell.output(), shell.steps.taken

    return asyncio.run(scenario())


def _held(version: WindowsVersion, text: str) -> None:
    first = run(version, text)
    assert first[2] <= STEP_LIMIT + 1
    assert len(first[1]) <= OUTPUT_LIMIT
    assert run(version, text) == first


@VERSIONS
@PROFILE
@given(text=SCRIPTS)
def test_a_script_ends_within_the_limits_and_does_the_same_twice(version: WindowsVersion, text: str) -> None:
    _held(version, text)


@VERSIONS
@PROFILE
@given(text=NOISE)
def test_noise_is_refused_or_run_but_never_breaks_the_interpreter(version: WindowsVersion, text: str) -> None:
    _held(version, text)


@PROFILE
@given(text=st.text(max_size=60))
def test_any_text_can_be_typed(text: str) -> None:
    async def scenario() -> int:
        return (await machine(WINDOWS_2000).command(text)).exit_code

    assert isinstance(asyncio.run(scenario()), int)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 2000,
        "if 1==1 " * 250 + "echo x",
        "@" * 2000 + "echo x",
        "call " * 400 + "echo x",
        "cmd /c " * 280 + "echo x",
        "echo x&" * 290 + "echo x",
        "echo x|" * 250 + "more",
        "set /a n=" + "(" * 1900,
        "set /a n=" + "-" * 1900 + "1",
        "for %%i in (a) do " * 100 + "echo x",
        "set /p x=<" * 200 + "nul",
        "set v=x\nfor /l %%i in (1,1,2000) do call set v=%%v%%%%v%%",
        "setlocal enabledelayedexpansion\nset v=xxxxxxxxxx\nfor /l %%i in (1,1,2000) do set v=!v!!v!",
        "for /l %%i in (1,1,9000) do set v%%i=" + "x" * 1500,
        "echo 0123456789>C:\\t\\g\nfor /l %%i in (1,1,5000) do type C:\\t\\g>>C:\\t\\g",
        "for /l %%i in (1,1,40) do copy C:\\t\\f.txt+C:\\t\\f.txt C:\\t\\f.txt",
        "C:\\t\\script.bat",
        "call C:\\t\\script.bat",
        "C:\\t\\script.bat | C:\\t\\script.bat",
        "start C:\\t\\script.bat",
        "for /l %%i in (1,0,2) do rem",
        "for /f %%i in ('C:\\t\\script.bat') do echo %%i",
        "sleep 999999 | C:\\none",
        'findstr /r "' + "a*" * 18 + 'b" C:\\t\\long.txt',
    ],
    ids=lambda text: text[:24],
)
def test_what_would_run_away_is_stopped(text: str) -> None:
    if text.startswith("sleep"):
        text = text.replace("999999", "0")
    _held(WINDOWS_2000, text)

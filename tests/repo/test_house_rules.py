"""House rules that a machine can hold. Each guard is also shown a planted offence."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"product": "bodydouble", "sim": "bodydouble_sim", "labs": "bodydouble_labs"}

AMBIENT = re.compile(
    r"\btime\.(time|monotonic|perf_counter|sleep)(_ns)?\(|\bdatetime\.(now|utcnow|today)\("
    r"|\brandom\.(random|randint|choice|shuffle|sample)\(|\buuid[14]\(|\bos\.urandom\(|\bsecrets\.|\bthreading\."
)
ASKS_WHETHER_SIMULATED = re.compile(r"simulat|bodydouble_sim|bodydouble_labs|\bvirtual\b|is_sim|in_sim", re.IGNORECASE)
VAGUE = re.compile(r"(^|/)(utils?|helpers?|common|misc|stuff)(\.py|/|$)")
REGISTRY = re.compile(r"https?://[^/\s]*(pypi|pythonhosted|npmjs|debian)", re.IGNORECASE)

# Where the ambient world may be touched, and why.
AMBIENT_ALLOWED = {
    "product/bodydouble/adapters": "the ports' real implementations",
    "labs/bodydouble_labs/providers/netns": "real hosts in real time",
    "labs/bodydouble_labs/cli.py": "wall time of a run, reported beside virtual time",
    "sim/bodydouble_sim/live": "the Windows body on a real host",
}


def modules(top: str) -> list[Path]:
    return sorted((ROOT / top / PACKAGES[top]).rglob("*.py"))


def offences(pattern: re.Pattern[str], text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if pattern.search(line)]


def code_only(source: str) -> str:
    """The source without docstrings and comments: words about simulation are no questions to it."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            body[0].value = ast.Constant(value=None)
    return ast.unparse(tree)


@pytest.mark.parametrize("path", modules("product"), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_product_function_asks_whether_it_is_simulated(path: Path) -> None:
    assert offences(ASKS_WHETHER_SIMULATED, code_only(path.read_text())) == []


def test_a_planted_question_is_seen() -> None:
    planted = 'def send(self):\n    """On any host."""\n    if self.host.is_simulated:\n        return\n'
    assert offences(ASKS_WHETHER_SIMULATED, code_only(planted)) == ["if self.host.is_simulated:"]


@pytest.mark.parametrize("top", PACKAGES)
def test_time_randomness_and_threads_come_only_from_ports_and_the_loop(top: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}: {line}"
        for path in modules(top)
        if not any(path.relative_to(ROOT).as_posix().startswith(allowed) for allowed in AMBIENT_ALLOWED)
        for line in offences(AMBIENT, code_only(path.read_text()))
    ]
    assert found == []


@pytest.mark.parametrize("planted", ["t = time.time()", "d = datetime.now()", "r = random.choice(x)", "u = uuid4()"])
def test_a_planted_ambient_call_is_seen(planted: str) -> None:
    assert offences(AMBIENT, code_only(planted))


@pytest.mark.parametrize("top", PACKAGES)
def test_modules_stay_small_and_are_named_for_what_they_do(top: str) -> None:
    for path in modules(top):
        name = path.relative_to(ROOT).as_posix()
        assert len(path.read_text().splitlines()) <= 600, f"{name}: is there a seam in it?"
        assert not VAGUE.search(name), f"{name}: says nothing"


def test_a_vague_name_is_seen() -> None:
    assert VAGUE.search("product/bodydouble/utils.py")
    assert VAGUE.search("sim/bodydouble_sim/common/x.py")
    assert not VAGUE.search("product/bodydouble/commands.py")


def test_no_file_names_a_package_registry() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    texts = [ROOT / name for name in listed if not name.endswith((".png", ".pcapng"))]
    found = [str(path) for path in texts if path.is_file() and REGISTRY.search(path.read_text(errors="replace"))]
    assert found == []


def test_a_planted_registry_address_is_seen() -> None:
    assert REGISTRY.search("index-url = https://files." + "pythonhosted.org/simple")


def lint_imports(directory: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    return subprocess.run([*command, "--no-cache"], cwd=directory, capture_output=True, text=True, check=False)


def test_the_arrows_between_packages_hold() -> None:
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout


def test_a_product_module_that_imports_the_simulator_is_seen(tmp_path: Path) -> None:
    for top, package in PACKAGES.items():
        (tmp_path / top).symlink_to(ROOT / top)
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("")
    (tmp_path / "bodydouble" / "planted.py").write_text("import bodydouble_sim\n")
    (tmp_path / "pyproject.toml").write_text(
        '[tool.importlinter]\nroot_packages = ["bodydouble", "bodydouble_sim", "bodydouble_labs"]\n'
        '[[tool.importlinter.contracts]]\nname = "labs > sim > product"\ntype = "layers"\n'
        'layers = ["bodydouble_labs", "bodydouble_sim", "bodydouble"]\n'
    )
    result = lint_imports(tmp_path)
    assert result.returncode == 1, result.stdout
    assert "bodydouble.planted" in result.stdout

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import yaml
from jsonschema import Draft202012Validator
from tests.labs.scenario.wrong_files import refused, unnumbered

from bodydouble.errors import InputError
from bodydouble_labs.errors import ScenarioError
from bodydouble_labs.scenario import document
from bodydouble_labs.scenario.faults import FAULT_KEYS
from bodydouble_labs.scenario.loader import find, load, shipped_directory, shipped_names
from bodydouble_labs.scenario.schema import scenario_schema
from bodydouble_labs.scenario.steps import ACTIONS, FaultStep, NetworkStep, PutStep, RestoreStep, action_of, title_of
from bodydouble_sim.network.bpf import missing_library

SHIPPED = find("iis5-power-loss")


def line_of(text: str) -> int:
    lines = SHIPPED.read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_every_shipped_scenario_loads() -> None:
    for name in shipped_names():
        assert load(find(name)).name == name


def test_the_power_loss_scenario_keeps_its_words() -> None:
    scenario = load(SHIPPED)
    assert scenario.protected_root == r"C:\InetPub"
    assert [step.phase for step in scenario.timeline if step.phase] == ["prepare", "safety", "liveness"]
    assert sum(isinstance(step, FaultStep) for step in scenario.timeline) == 1
    assert {name.rpartition("/")[2] for name in scenario.files} == {"POSTOVER.BAT", "PREBACK.BAT"}
    assert scenario.source.ip == "10.0.0.10"
    assert scenario.target.computer_name == "TARGET"
    assert scenario.client.address == "10.0.0.100/24"


def test_the_scripts_are_the_notes_with_their_placeholders() -> None:
    text = (shipped_directory() / "scripts" / "POSTOVER.BAT").read_text()
    assert r"<drive>\<directory>\chngname /s source_name" in text
    assert 'rem net start "Content Index"' in text
    text = (shipped_directory() / "scripts" / "PREBACK.BAT").read_text()
    assert 'net stop "IIS Admin Service" /y' in text


def test_shipped_schema_file_is_the_models() -> None:
    file = Path(document.__file__).with_name("scenario.schema.json")
    assert json.loads(file.read_text()) == scenario_schema()


def test_the_schema_is_one_and_accepts_the_shipped_scenario() -> None:
    Draft202012Validator.check_schema(scenario_schema())
    value = document.parse(SHIPPED.read_bytes(), "x").value
    assert list(Draft202012Validator(scenario_schema()).iter_errors(value)) == []


def test_the_schema_alone_refuses_two_actions_in_a_step() -> None:
    value = document.parse(SHIPPED.read_bytes(), "x").value
    value["timeline"][2]["power"] = "on"
    assert list(Draft202012Validator(scenario_schema()).iter_errors(value))


@pytest.mark.parametrize(
    ("old", "new", "key", "said"),
    [
        ("role: server", "rolle: server", "hosts.source.rolle", "unknown key 'rolle' - did you mean 'role'?"),
        ("role: server", "role: srever", "hosts.source.role", "expected client or server, found the text 'srever'"),
        ("title:", "titel:", "titel", "unknown key 'titel' - did you mean 'title'?"),
        ("title:", "shade: 1\ntitle:", "shade", "unknown key 'shade'; known here: format, name"),
        ("  max_rto: 28\n", "", "expect", "the key 'max_rto' is missing"),
        ("max_rto: 28", "max_rto: '28'", "expect.max_rto", "expected a number, found the text '28'"),
        ("pages: 20", "pages: 2.5", "site.pages", "expected a whole number, found 2.5"),
        ("pages: 20", "pages: 0", "site.pages", "expected at least 1, found 0"),
        ("every: 1, timeout: 2", "every: 1.0e-30, timeout: 2", "workload.readers[0].every", "expected at least 0.001"),
        ("every: 1,", "every: ,", "workload.readers[0].every", "expected a number, found nothing"),
        ("format: 1", "format: 2", "format", "expected 1, found 2"),
        ("name: orders", "name: by-name", "workload.writers[0].name", "(workload.readers[1].name)"),
        ("10.0.0.10/24", "10.0.1.10/24", "hosts.source.address", "(network.subnet)"),
        (
            "10.0.0.10/24",
            "10.0.1.10/24",
            "hosts.source.address",
            "is no host address of 10.0.0.0/24, segment lan's subnet",
        ),
        ("10.0.0.10/24", "10.0.0.20/24", "hosts.target.address", "the address 10.0.0.20 is source's already"),
        ("10.0.0.10/24", "10.0.0.20/24", "hosts.target.address", "(hosts.source.address)"),
        ("10.0.0.10/24", "10.0.0.410/24", "hosts.source.address", "expected an address like"),
        ("subnet: 10.0.0.0/24", "subnet: 10.0.0.7/24", "network.subnet", "expected a subnet like"),
        ("computer_name: SOURCE", "computer_name: source", "hosts.source.computer_name", "a NetBIOS computer name"),
        (
            "computer_name: SOURCE",
            "computer_name: TARGET",
            "hosts.target.computer_name",
            "(hosts.source.computer_name)",
        ),
        ("role: client", "role: server", "hosts.client", "the key 'operating_system' is missing"),
        (r"root: 'C:\InetPub", r"root: 'D:\InetPub", "site.root", "source has no drive D: (drives: C)"),
        (r"include: 'C:\InetPub'", r"include: 'C:\Other'", "site.root", "no rule of the replication set includes it"),
        (r"include: 'C:\InetPub'", "include: InetPub", "protection.replication_set.rules[0].include", "backslashes"),
        (r"{include: 'C:\InetPub'}", "{}", "protection.replication_set.rules[0]", "exactly one of 'include'"),
        (
            "{source: source, target: target",
            "{source: source, target: tagret",
            "protection.connection.target",
            "did you",
        ),
        ("    on: target\n    source: source", "    on: source\n    source: source", "protection.monitor.on", "target"),
        ("on: source\n    command", "on: sourc\n    command", "timeline[N].on", "did you mean 'source'?"),
        ("on: source\n    command", "on: client\n    command", "timeline[N].on", "'client' is a client"),
        ("network: disconnect", "netwrk: disconnect", "timeline[N].netwrk", "did you mean 'network'?"),
        ("network: disconnect", "network: cut", "timeline[N].network", "expected connect or disconnect"),
        ("network: disconnect", "network: disconnect\n    power: on", "timeline[N].power", "has network and power"),
        ("    network: disconnect\n", "", "timeline[N]", "the step has no action; expected one of command"),
        ("run_for: 180", "run_for: soon", "timeline[N].run_for", "expected a number, found the text 'soon'"),
        ("run_for: 180", "run_for: 180\n    within: 3", "timeline[N].within", "takes no 'within'"),
        ("workload: stop", "workload: start", "timeline[N].workload", "already started"),
        ("restore: source", "restore: target", "timeline[N].restore", "expected the source 'source'"),
        ("protect: monitor", "wait_for: failed-over", "timeline[N]", "'protect: monitor' has to come before"),
        ("from: scripts/PREBACK.BAT", "from: PRE.BAT", "timeline[N].put[1].from", "no such file"),
        ("from: scripts/PREBACK.BAT", "from: ../x", "timeline[N].put[1].from", "beneath the scenario file's directory"),
        ("source_name: SOURCE", "sauce: X", "timeline[N].put[0].replace.sauce", "does not occur"),
        ("title:", "name: x\ntitle:", "name", "the key is already given on line 4"),
        ("format: 1", "format: &a 1\nx: *a", "x", "aliases"),
        ("{segment: lan,", "!!python/object:os.system {segment: lan,", "network", "the tag"),
        ("format: 1", "? [a]\n: 1", "", "a key must be text"),
        ("expect:\n", "expect:\n\t- x\n", "", "not valid YAML"),
        ("max_rto: 28", "max_rto: 1e999", "expect.max_rto", "cannot read '1e999'"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, key: str, said: str) -> None:
    error = refused(SHIPPED, tmp_path, old, new)
    assert unnumbered(error) == key
    assert said in str(error)
    assert str(error).startswith(f"{tmp_path}/broken.yaml:{error.line}: ")


def test_the_line_is_the_offending_keys(tmp_path: Path) -> None:
    assert refused(SHIPPED, tmp_path, "max_rpo: 5", "max_rpo: five").line == line_of("max_rpo: 5")
    error = refused(SHIPPED, tmp_path, "restore: source", "restore: x")
    assert error.line == line_of("restore: source")
    number = next(index for index, step in enumerate(load(SHIPPED).timeline) if isinstance(step, RestoreStep))
    assert error.key == f"timeline[{number}].restore"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "the file is empty"),
        (b"- 1\n", "expected a mapping, found a list"),
        (b"\xff\xfe", "not UTF-8 text"),
        (b"a: \x00", "not valid YAML"),
        (b"a: " + b"[" * 30 + b"]" * 30, "nested more than 20 deep"),
        (b"a: " + b"[" * 20_000, "nested far too deeply"),
        (b"a: 1\n---\nb: 2\n", "not valid YAML"),
        (b"#" * (document.MAX_BYTES + 1), "a scenario file has at most"),
    ],
)
def test_what_is_no_scenario_at_all_is_refused(tmp_path: Path, text: bytes, said: str) -> None:
    file = tmp_path / "broken.yaml"
    file.write_bytes(text)
    with pytest.raises(ScenarioError, match=said):
        load(file)


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="no such file"):
        load(tmp_path / "none.yaml")
    with pytest.raises(ScenarioError, match="not a regular file"):
        load(tmp_path)


def test_an_unknown_name_lists_what_exists() -> None:
    with pytest.raises(InputError, match=r"did you mean 'iis5-power-loss'\?; shipped scenarios: .*iis5-power-loss"):
        find("iis5-powerloss")


def test_put_files_beside_the_scenario_win_over_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "PREBACK.BAT").write_bytes(b"rem mine\n")
    file = tmp_path / "own.yaml"
    file.write_text(SHIPPED.read_text())
    assert load(file).files["scripts/PREBACK.BAT"] == b"rem mine\n"


def test_on_and_off_are_words_and_the_library_keeps_its_own_rules() -> None:
    assert document.parse(b"{power: on, other: yes}", "x").value == {"power": "on", "other": "yes"}
    assert yaml.safe_load("a: on") == {"a": True}


def test_every_action_has_a_step_class_named_by_its_key() -> None:
    for key, class_ in ACTIONS.items():
        assert key in class_.__struct_fields__
    step = NetworkStep(on="source", network="connect")
    assert action_of(step) == "network"
    assert title_of(step) == "network connect on source"
    assert title_of(PutStep(on="target", put=[])) == "put on target"
    assert title_of(NetworkStep(step="Plug it", on="source", network="connect")) == "Plug it"


PARTITION = find("iis5-partition")


@pytest.mark.parametrize(
    ("old", "new", "key", "said"),
    [
        (
            "[source, target]\n  - step: Clients",
            "[source]\n  - step: Clients",
            "between",
            "expected at least 2 item(s)",
        ),
        ("between: [source, target]", "between: [source, tagret]", "between[1]", "did you mean 'target'?"),
        ("between: [source, target]", "between: [source, source]", "between", "expected two different hosts"),
        (
            "    between: [source, target]\n",
            "",
            "timeline[N]",
            "the key 'between' is missing (the fault partition needs",
        ),
        ("probability: 0.05", "probability: 1.5", "probability", "expected at most 1, found 1.5"),
        ("    probability: 0.05\n", "", "timeline[N]", "the key 'probability' is missing (the fault loss needs it)"),
        ("probability: 0.05", "probability: 0.05\n    delay: 1", "delay", "the fault loss takes no 'delay'; it takes"),
        (
            "probability: 0.05",
            "probability: 0.05\n    mtu: 576",
            "mtu",
            "the fault loss takes no 'mtu'; it takes between,",
        ),
        ("fault: loss", "fault: los", "fault", "did you mean 'loss'?"),
        ("fault: partition\n", "fault: squeeze\n", "timeline[N]", "the key 'bits_per_second' is missing"),
        ("fault: latency\n", "fault: black-hole\n    mtu: 20\n", "mtu", "expected at least 68, found 20"),
        ("probability: 0.05", "probability: 0.05\n    protocol: ip", "protocol", "expected arp, icmp, tcp or udp"),
        ("probability: 0.05", "probability: 0.05\n    protocol: arp\n    port: 7", "port", "arp has no ports"),
        (
            "fault: partition\n    between: [source, target]",
            "fault: spoofed-arp\n    on: clint\n    address: 10.0.0.10",
            "on",
            "no host named 'clint' - did you mean 'client'?",
        ),
        (
            "fault: partition\n    between: [source, target]",
            "fault: duplicate-address\n    address: 10.0.7.10",
            "address",
            "10.0.7.10 is no host address of a segment; segments: lan 10.0.0.0/24",
        ),
        ("heal: partition", "heal: loss", "heal", "no fault 'loss' lasts at this point"),
        ("heal: partition", "heal: partitoin", "heal", "did you mean 'partition'?"),
        (
            "fault: partition\n    between: [source, target]",
            "fault: power-loss",
            "timeline[N]",
            "the key 'on' is missing",
        ),
        (
            "fault: partition\n    between: [source, target]",
            "on: source\n    fault: power-loss\n    one_way: true",
            "one_way",
            "the fault power-loss has no direction",
        ),
    ],
)
def test_mistakes_in_network_faults_are_told_by_line_and_key(
    tmp_path: Path, old: str, new: str, key: str, said: str
) -> None:
    error = refused(PARTITION, tmp_path, old, new)
    assert said in str(error)
    assert unnumbered(error).endswith(key)
    assert error.line > 0


@pytest.mark.parametrize(
    ("old", "new", "key", "said"),
    [
        ("    on: source\n    pair: target\n", "    run_for: 1\n", "protect", "'pair: HOST' has to come before"),
        ("pair: target", "pair: tagret", "pair", "did you mean 'target'?"),
        ("pair: target", "pair: source", "pair", "a server cannot be paired with itself"),
        ("pair: target", "pair: client", "pair", "client"),
    ],
)
def test_mistakes_in_pairing_are_told_by_line_and_key(tmp_path: Path, old: str, new: str, key: str, said: str) -> None:
    error = refused(PARTITION, tmp_path, old, new)
    assert said in str(error)
    assert error.key.endswith(key)
    assert error.line > 0


def test_fault_that_lasts_cannot_begin_again(tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(
        PARTITION.read_text()
        .replace("  - step: The link is repaired\n    phase: liveness\n", "")
        .replace("    heal: partition\n", "  - fault: partition\n    between: [client, target]\n")
    )
    with pytest.raises(ScenarioError, match="the fault 'partition' lasts already; heal it before"):
        load(file)


@pytest.mark.skipif(missing_library() is not None, reason=missing_library() or "")
def test_a_filter_expression_that_is_none_is_told_by_line_and_key(tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(PARTITION.read_text().replace("probability: 0.05", "probability: 0.05\n    match: tcp prot 80"))
    with pytest.raises(ScenarioError, match=r"'tcp prot 80' is no filter expression: .*syntax error") as caught:
        load(file)
    assert caught.value.key.endswith(".match")


def test_every_fault_that_a_step_can_name_has_its_keys() -> None:
    assert sorted(FAULT_KEYS) == sorted(get_args(get_type_hints(FaultStep)["fault"]))

"""Scripts against the unchanged daemons of simulated machines, in virtual time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.test_configurations import ROOT, Lab, lab_with_data, seed_files
from tests.product.dtcl.consoles import Script, ScriptedConsole

from bodydouble.dtcl import session as session_module
from bodydouble.dtcl.errors import CommandError, ScriptTimeoutError
from bodydouble.dtcl.words import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

S, T = "10.0.0.10", "10.0.0.11"
LOGIN = f"login {S} token file {S}.token; login {T} token env {T}.token; source {S}; target {T};"
CONNECT = f'repset create data; repset rule add "{ROOT}"; repset save; connect data to {T}; wait on mirror timeout 1h;'


def script_of(lab: Lab, **variables: str) -> Script:
    return Script(ScriptedConsole({box.ip: box.host for box in lab.boxes.values()}), variables)


@pytest.fixture
def carried_out(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of the commands whose handler came to its end."""
    done: set[str] = set()

    def noted(name: str, handler: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def carry_out(*arguments: Any) -> Any:
            result = await handler(*arguments)
            done.add(name)
            return result

        return carry_out

    for name, handler in session_module.HANDLERS.items():
        monkeypatch.setitem(session_module.HANDLERS, name, noted(name, handler))
    return done


def test_every_command_is_carried_out_by_real_daemons(carried_out: set[str]) -> None:
    lab = lab_with_data("ST")

    async def main() -> None:
        source, target = lab.boxes["S"], lab.boxes["T"]
        seed_files(source)
        script = script_of(lab)
        run, console = script.run, script.console
        await run(LOGIN)
        await run(f"""
            repset create data;
            repset rule add "{ROOT}";
            repset rule add "{ROOT}/*.tmp" exclude;
            repset rule add "{ROOT}/spare" exclude nonrecursive to data;
            repset rule remove "{ROOT}/spare" from data;
            repset save;
            repset calc;
            repset copy data to second;
            repset rename second to third;
            repset use third;
            repset display;
            repset delete third disconnect;
        """)
        assert [each["path"] for each in console.last("repset_display")[0]["rules"]] == [ROOT, f"{ROOT}/*.tmp"]
        assert console.last("repset_calc")["files"] == 8
        await run(f"""
            script add mirrorcomplete tell.cmd;
            script remove mirrorcomplete;
            connect data to {T} map exact mirror full orphans delete older 1h compression 1 bandwidth 100MB;
            wait on mirror timeout 1h;
            wait on queue;
            verify checksum;
            wait on verify;
        """)
        assert source.picture(ROOT) == target.picture(ROOT)
        assert console.last("wait_on_verify")["report"]["totals"]["different"] == 0
        await run("""
            transmission pause; transmission resume; transmission stop; transmission start;
            transmission bandwidth 20kB; transmission compression 2; transmission display;
            schedule start at 22:00 days sat,sun; schedule start every 1h; schedule start queue 10MB;
            schedule start percent 50; schedule start operations 1000; schedule stop empty; schedule stop after 30m;
            schedule stop bytes 100MB; schedule window 22:00 to 06:00 days mon,tue bandwidth 1MB;
            schedule verify every 1d checksum; schedule display; schedule verify off; schedule clear;
        """)
        schedule = console.last("schedule_display")
        assert schedule["transmission"]["start_at"] == [{"at": "22:00", "days": ["sat", "sun"]}]
        assert (schedule["transmission"]["stop_bytes"], schedule["verification"]["interval"]) == (10**8, 86400)
        assert console.last("transmission_display")["bandwidth"] == 20_000
        await run("""
            mirror start data by full; mirror pause; mirror resume; mirror stop;
            transmission bandwidth none;
            mirror start by checksum; wait on mirror timeout 1h;
            verify; verify stop;
            replication stop; replication start; wait on mirror timeout 1h;
            pause target for S set data; resume target for S;
            queuetask swap.cmd "first one" onqueue timeout 5s for data;
        """)
        await run(f"""
            transmission pause;
            $before = [status on source].connections.0.id;
            queue flush;
            while [status on source].connections.0.state != mirror-required within 1m {{ sleep 1s; }}
            transmission resume;
            replication start; wait on mirror timeout 1h;
            get retry_interval on source; set retry_interval 7.5 on source; get on {S};
            stats on source; events after 3 on {T}; status; status on {T};
            service display Browser on source; service stop Browser on source; service start Browser on source;
        """)
        assert {each["name"]: each["value"] for each in console.last("get_option")}["retry_interval"] == 7.5
        assert console.last("service_start")["state"] == "running"
        await run(f"""
            monitor create S;
            monitor move {S}/24 to "Local Area Connection";
            monitor option interval 2s missed 3 manual on timeout 30s;
            monitor script add postfailover "C:\\over.cmd"; monitor script remove postfailover;
            monitor script add postfailover "C:\\over.cmd" argument one argument two timeout 5s onfailure hold;
            monitor option trigger any heartbeat icmp name on identity add serviceport 6320; monitor watch 10.0.9.9;
            monitor option shares off;
            monitor giveup {T}/24 of "Local Area Connection"; monitor display;
            monitor delete S; monitor create S; monitor move {S}/24 to "Local Area Connection";
            monitor option interval 2s missed 3 manual on timeout 30s;
            monitor start; monitor display S; monitor stop; monitor start S; monitor use S;
            monitor option manual off; monitor start;
        """)
        assert console.last("monitor_display")["request"]["interval"] == 2.0
        await source.host.power_off()
        await run("wait on failover timeout 5m;")
        await source.host.disconnect()
        await source.host.power_on()
        await run("failback; wait on failback;")
        await source.host.connect()
        await run("while not ok [failback continue] within 1m { sleep 1s; }")
        await run(f'login {S} token "{source.host.control.token}"; source {S};')
        await run(f"""
            restore data of S to {S} from {T}; restore stop from {T};
            restore data of S to {S}; wait on restore timeout 1h;
            wait on mirror data timeout 1h; wait on queue data;
            repset recover data of S; repset save without remirror;
        """)
        assert console.last("wait_on_restore")["state"] == "complete"
        assert source.picture(ROOT) == target.picture(ROOT)
        await source.host.disconnect()
        await run("failover S; wait on failover S timeout 5m; failback S; wait on failback S;")
        await source.host.connect()
        await run("while not ok [failback stop S] within 1m { sleep 1s; }  monitor delete S;")
        await run(f"restore clear data of S from {T}; wait on mirror data timeout 1h;")
        await run(f"disconnect * drain; help; help wait on; shutdown on {S}; logout {T}; logout;")
        await script.interpreter.close()

    lab.run(main)
    language = {"print", "quit"}  # the interpreter's own
    assert carried_out == {each.name for each in COMMANDS} - language


def test_a_daemon_that_is_told_to_shut_down_ends_in_order() -> None:
    lab = lab_with_data("ST")

    async def main() -> None:
        script, source = script_of(lab), lab.boxes["S"]
        await script.run(f"{LOGIN} {CONNECT} shutdown on source;")
        async with asyncio.timeout(30):
            while "running" in (await source.host.command("sc query Bodydouble")).output.lower():  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        with pytest.raises(CommandError, match="no answer"):
            await script.run("status on source;")
        assert (await source.host.command("net start Bodydouble")).exit_code == 0
        await script.run("while not ok [status on source] within 1m { sleep 1s; } events on source;")
        texts = [each["text"] for each in script.console.last("events")]
        assert "an operator ordered the daemon to end" in texts
        assert "Bodydouble stopped" in texts
        await script.run("wait on mirror timeout 1h;")
        await script.interpreter.close()

    lab.run(main)


async def script_ok(script: Script, command: str) -> bool:
    return await script.run(f"if ok [{command}] {{ quit 1; }}") == 1


def test_a_wait_a_loop_and_a_script_end_when_their_time_is_over() -> None:
    lab = lab_with_data("ST")

    async def main() -> None:
        script = script_of(lab)
        loop = asyncio.get_running_loop()
        await script.run(f"{LOGIN} {CONNECT} transmission pause; mirror start;")
        began = loop.time()
        with pytest.raises(ScriptTimeoutError, match="wait on mirror timeout 90s: not done after 90 s"):
            await script.run("wait on mirror timeout 90s;")
        assert 90 <= loop.time() - began < 92
        with pytest.raises(ScriptTimeoutError, match=r"test\.dtcl:2:1: while: not done after 60 s"):
            await script.run("\nwhile 1 within 1m { sleep 7s; }")
        with pytest.raises(ScriptTimeoutError, match="not at its end after 30 s"):
            await script.run("wait on mirror;", timeout=30)
        assert await script.run("if ok [wait on mirror timeout 1s] { quit 1; } else { quit 2; }") == 2
        await script.interpreter.close()

    lab.run(main)


def test_a_script_that_is_cancelled_leaves_nothing_open() -> None:
    lab = lab_with_data("ST")

    async def main() -> None:
        script = script_of(lab)
        await script.run(f"{LOGIN} {CONNECT}")
        running = asyncio.create_task(script.run("while 1 { sleep 1s; status; }"), name="script")
        await asyncio.sleep(10)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await script.run("status;")  # a person goes on typing
        await script.interpreter.close()
        assert [each.get_name() for each in asyncio.all_tasks() if "script" in each.get_name()] == []

    lab.run(main)


def test_an_order_to_a_machine_without_a_login_is_refused_and_names_its_place() -> None:
    lab = lab_with_data("ST")

    async def main() -> None:
        script = script_of(lab)
        with pytest.raises(CommandError, match=r"test.dtcl:3:5: repset display: nobody is logged in at 10.0.0.10"):
            await script.run(f"source {S};\n\n    repset display;")
        with pytest.raises(CommandError, match="a valid bearer token is required"):
            await script.run(f"login {S} token wrong; repset display;")
        assert await script_ok(script, f"login {S}") is False, "nobody is there to type a token"
        script.console.typed = lab.boxes["S"].host.control.token
        await script.run(f"login {S}; repset display;")
        await script.interpreter.close()

    lab.run(main)


def test_what_is_ordered_of_the_wrong_thing_is_refused_in_words() -> None:
    lab = lab_with_data("ST")
    refusals = {
        "connect nothing to x": "no replication set 'nothing'",
        "disconnect": "there is no connection",
        "mirror start 7": "no connection '7'; there are: none",
        "repset rule add x": "no replication set is in use",
        "repset create a; repset rule add nowhere": "nowhere",
        "repset create a; repset calc": "'a' was changed and not saved: repset save",
        "monitor option missed 3": "no monitor is in use",
        "monitor create S; monitor start": "has no address: monitor move",
        "failover": "the target monitors nothing",
        "wait on restore": "the machine knows no restoration",
        "wait on verify": "nothing was verified yet",
        "restore x of S to y": "no replica of S's 'x' on this machine",
        "restore stop 4": "the machine knows no restoration 4",
        "set queue_bytes 5": "queue_bytes cannot be changed while the daemon runs",
        "set retry_interval soon": "option retry_interval: 'soon' does not fit",
        "set retry_interval 0": "does not fit",
        "get colour": "no option 'colour'",
        "service start Nothing": "Nothing",
        "pause target for X": "the target holds no replica of 'X'",
        "sleep soon": "'soon' is no time",
        "help mirror levitate": "no command 'mirror levitate'",
        "print $nothing": "$nothing was never set",
        "print [status on source].colour": "no field 'colour'; it has",
        "events after none": "'none' does not fit: expected a number",
        "$x = sideways; connect a to b mirror $x": "'sideways' does not fit: expected full, difference, checksum",
        "logout nowhere": "nobody is logged in at 'nowhere'",
    }

    async def main() -> None:
        for statements, reason in refusals.items():
            script = script_of(lab)
            await script.run(LOGIN)
            with pytest.raises(CommandError) as caught:
                await script.run(f"{statements};")
            assert reason in caught.value.reason, statements
            await script.interpreter.close()

    lab.run(main)

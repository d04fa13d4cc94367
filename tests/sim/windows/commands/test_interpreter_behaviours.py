"""What cmd.exe does, claim by claim; the corpus shows the same and more as whole scripts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.sim.windows.commands.corpus import machine

from bodydouble_sim.windows.version import NT_4, WINDOWS_2000

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodydouble_sim.windows.version import WindowsVersion


def script(
    text: str, *arguments: str, version: WindowsVersion = WINDOWS_2000, answers: Sequence[str] = ()
) -> tuple[int, list[str]]:
    """Errorlevel and printed lines of a script with echo off."""

    async def scenario() -> tuple[int, list[str]]:
        system = machine(version)
        await system.boot()
        data = ("@echo off\n" + text).replace("\n", "\r\n").encode()
        system.write_file("C:/t/s.bat", data)
        ended = await system.run_script("C:/t/s.bat", arguments, {}, 60, answers=answers)
        return ended.exit_code, ended.output.replace("\r\n", "\n").split("\n")[:-1]

    return asyncio.run(scenario())


def said(text: str, *arguments: str, version: WindowsVersion = WINDOWS_2000, answers: Sequence[str] = ()) -> list[str]:
    """The printed lines alone."""
    return script(text, *arguments, version=version, answers=answers)[1]


@pytest.mark.behaviour("Stack Overflow 4094699, how cmd.exe parses scripts, phase 1")
def test_a_block_is_expanded_before_any_of_it_runs() -> None:
    assert said("set n=1\n(set n=2\necho %n%)\necho %n%\n") == ["1", "2"]


@pytest.mark.behaviour("help text of setlocal (Windows 2000)")
def test_delayed_expansion_happens_when_a_command_runs() -> None:
    text = "setlocal enabledelayedexpansion\nset n=1\n(set n=2\necho !n!)\n"
    assert said(text) == ["2"]
    assert said(text, version=NT_4) == ["!n!"]


@pytest.mark.behaviour("Stack Overflow 4094699, how cmd.exe parses scripts, phase 2")
def test_what_follows_an_if_on_its_line_belongs_to_it() -> None:
    assert said("if 1==2 echo a & echo b\nif 1==1 echo c & echo d\n") == ["c ", "d"]


@pytest.mark.behaviour("Stack Overflow 4094699, how cmd.exe parses scripts, phase 2")
def test_and_binds_tighter_than_or_and_or_tighter_than_one_after_the_other() -> None:
    assert said("nonsense 2>nul || echo a && echo b& echo c\n") == ["a ", "b", "c"]


@pytest.mark.behaviour("Stack Overflow 4094699, how cmd.exe parses scripts, phase 2")
def test_a_remark_swallows_operators() -> None:
    assert said("rem a & echo b\nrem | sort\necho c\n") == ["c"]


@pytest.mark.behaviour("Stack Overflow 4094699, how cmd.exe parses scripts, phase 5.3")
def test_each_side_of_a_pipe_is_an_interpreter_of_its_own() -> None:
    assert said("set v=1\nset v=2| set v=3\necho %v%\n") == ["1"]


@pytest.mark.behaviour("Stack Overflow 4094699, how cmd.exe parses scripts, phase 6")
def test_call_expands_percent_signs_once_more() -> None:
    assert said("set a=b\nset b=c\ncall echo %%%a%%%\n") == ["c"]


@pytest.mark.behaviour("Stack Overflow 4094699, how cmd.exe parses scripts, redirection")
def test_a_digit_that_ends_a_word_is_no_handle() -> None:
    assert said("echo x1>C:\\f\ntype C:\\f\n") == ["x1"]


@pytest.mark.behaviour("Stack Overflow 4094699, how cmd.exe parses scripts, redirection")
def test_errors_can_go_where_output_goes() -> None:
    assert said('nonsense >C:\\f 2>&1\nfind /c /v "" <C:\\f\n') == ["2"]
    assert said("nonsense 2>&1 >nul\n")[0].startswith("'nonsense'")


@pytest.mark.behaviour("Stack Overflow 4094699, labels")
def test_the_search_for_a_label_begins_below_the_goto() -> None:
    assert said("goto x\n:y\necho first\ngoto :eof\n:x\ngoto y\n:y\necho second\n") == ["second"]


@pytest.mark.behaviour("help text of goto")
def test_a_missing_label_ends_the_batch_file_with_1() -> None:
    assert script("goto none\necho never\n") == (1, ["The system cannot find the batch label specified - none"])


@pytest.mark.behaviour("TechRepublic, Scripting in Windows NT, part 1")
@pytest.mark.parametrize("version", [NT_4, WINDOWS_2000], ids=lambda version: version.key)
def test_subroutines_and_goto_eof_are_in_both_releases(version: WindowsVersion) -> None:
    assert said("call :s x\ngoto :eof\n:s\necho %1\n", version=version) == ["x"]


@pytest.mark.behaviour("help text of exit: /b came with Windows 2000")
def test_exit_b_leaves_a_subroutine_on_2000_and_the_interpreter_on_nt_4() -> None:
    text = "call :s\necho %errorlevel%\ngoto :eof\n:s\nexit /b 7\n"
    assert said(text) == ["7"]
    assert said(text, version=NT_4) == []


@pytest.mark.behaviour("help text of set: /p came with Windows 2000")
def test_set_p_asks_on_2000_only() -> None:
    text = "set /p v=Name? \necho [%v%]\n"
    assert said(text, answers=["x"]) == ["Name? ", "[x]"]
    assert said(text, answers=["x"], version=NT_4) == ["[]"]


@pytest.mark.behaviour("help text of set (Windows 2000): dynamic variables")
def test_the_current_directory_is_a_variable_on_2000_only() -> None:
    assert said("cd C:\\t\necho [%cd%]\n") == ["[C:\\t]"]
    assert said("cd C:\\t\necho [%cd%]\n", version=NT_4) == ["[]"]


@pytest.mark.behaviour("help text of if: cmdextversion")
def test_the_extensions_are_version_1_on_nt_4_and_2_on_2000() -> None:
    assert said("echo %cmdextversion%\n") == ["2"]
    assert said("echo %cmdextversion%\n", version=NT_4) == ["1"]


@pytest.mark.behaviour("help text of for: usebackq came with Windows 2000")
def test_usebackq_is_refused_on_nt_4() -> None:
    text = 'for /f "usebackq" %%i in (`echo x`) do echo %%i\n'
    assert said(text) == ["x"]
    assert script(text, version=NT_4) == (255, ['"usebackq" was unexpected at this time.'])


@pytest.mark.behaviour("help text of for (Windows 2000)")
def test_for_f_skips_empty_lines_and_comments() -> None:
    text = '(echo ;c& echo.& echo a b)>C:\\f\nfor /f "tokens=2" %%i in (C:\\f) do echo %%i\n'
    assert said(text) == ["b"]


@pytest.mark.behaviour("help text of for (Windows 2000)")
def test_a_wildcard_without_files_makes_no_turn_of_the_loop() -> None:
    assert said("for %%i in (C:\\t\\*.none) do echo never\n") == []


@pytest.mark.behaviour("KB 830473")
def test_a_line_of_more_than_2047_characters_is_refused() -> None:
    text = "set a=" + "x" * 1000 + "\necho %a%%a%%a%\n"
    assert script(text) == (255, ["The input line is too long."])


@pytest.mark.behaviour("Dave Benham's table of internal commands and the errorlevel (Stack Overflow)")
def test_echo_rem_and_title_leave_the_errorlevel() -> None:
    assert said("C:\\DoubleTake\\chngname >nul\necho x\nrem y\ntitle z\necho %errorlevel%\n") == ["x", "2"]


@pytest.mark.behaviour("Dave Benham's table of internal commands and the errorlevel (Stack Overflow)")
@pytest.mark.parametrize("command", ["cd C:\\", "ver >nul", "dir >nul", "md C:\\new"])
def test_other_commands_clear_the_errorlevel(command: str) -> None:
    assert said(f"C:\\DoubleTake\\chngname >nul\n{command}\necho %errorlevel%\n") == ["0"]


@pytest.mark.behaviour("Dave Benham's table of internal commands and the errorlevel (Stack Overflow)")
def test_del_leaves_errorlevel_0_though_it_found_nothing() -> None:
    assert said("C:\\DoubleTake\\chngname >nul\ndel C:\\none 2>nul\necho %errorlevel%\n") == ["0"]


@pytest.mark.behaviour("Dave Benham's table of internal commands and the errorlevel (Stack Overflow)")
def test_rd_tells_its_failure_to_the_or_operator_alone() -> None:
    assert said("rd C:\\none 2>nul\necho %errorlevel%\nrd C:\\none 2>nul || echo failed\n") == ["0", "failed"]


@pytest.mark.behaviour(
    "Dave Benham's table of internal commands and the errorlevel (Stack Overflow): set in .bat and .cmd"
)
def test_set_clears_the_errorlevel_in_a_cmd_file_but_not_in_a_bat_file() -> None:
    text = "echo @chngname ^>nul >C:\\{0}\necho @set v=1 >>C:\\{0}\nset path=C:\\DoubleTake\ncall C:\\{0}\n"
    text += "echo %errorlevel%\n"
    assert said(text.format("x.bat")) == ["2"]
    assert said(text.format("x.cmd")) == ["0"]


@pytest.mark.behaviour("zzz.buzz, File not found errors in cmd.exe")
def test_an_unknown_command_leaves_9009() -> None:
    assert script("nonsense 2>nul\n")[0] == 9009


@pytest.mark.behaviour("zzz.buzz, File not found errors in cmd.exe")
def test_a_command_in_a_directory_that_is_not_there_leaves_3() -> None:
    assert script("C:\\none\\x\n") == (3, ["The system cannot find the path specified."])


@pytest.mark.behaviour("zzz.buzz, File not found errors in cmd.exe")
def test_a_redirection_that_fails_does_not_touch_the_errorlevel() -> None:
    text = "C:\\DoubleTake\\chngname >nul\necho x >C:\\none\\f\necho %errorlevel%\n"
    assert said(text) == ["The system cannot find the path specified.", "2"]


@pytest.mark.behaviour("blogs.conchango.com, Resetting errorlevel in batch file programming")
def test_a_variable_named_errorlevel_hides_the_real_one() -> None:
    assert said("set errorlevel=0\nnonsense 2>nul\necho %errorlevel%\n") == ["0"]


@pytest.mark.behaviour("help text of setlocal")
def test_setlocal_ends_with_its_batch_file_or_subroutine() -> None:
    assert said("set v=1\ncall :s\necho %v%\ngoto :eof\n:s\nsetlocal\nset v=2\n") == ["1"]


@pytest.mark.behaviour("help text of cmd: /c")
def test_a_batch_file_that_is_not_called_does_not_come_back_however_deep() -> None:
    assert said("if %1==40 (echo there& goto :eof)\nset /a n=%1+1\nC:\\t\\s.bat %n%\n", "1") == ["there"]


@pytest.mark.behaviour("help text of pushd")
def test_popd_goes_back_to_where_pushd_was() -> None:
    assert said("cd C:\\t\npushd D:\\\ncd\npopd\ncd\n") == ["D:\\", "C:\\t"]


@pytest.mark.behaviour("help text of cd: /d")
def test_cd_without_d_does_not_change_the_drive() -> None:
    assert said("cd C:\\t\ncd D:\\\ncd\ncd /d D:\\\ncd\n") == ["C:\\t", "D:\\"]


@pytest.mark.behaviour("help text of start")
def test_start_wait_hands_the_errorlevel_over() -> None:
    assert said("start /wait C:\\DoubleTake\\chngname\necho %errorlevel%\n") == ["2"]


@pytest.mark.behaviour("help text of cmd: /v:on (Windows 2000)")
def test_an_interpreter_can_be_started_with_delayed_expansion() -> None:
    assert said('set v=x\ncmd /v:on /c "echo !v!"\n') == ["x"]

"""What docs/protocol.md lists is what the agent says and does: people script against it."""

import re
from pathlib import Path

from mesh.host import cli
from mesh.host.answers import Answer
from mesh.host.live import following
from mesh.host.system import units
from mesh.host.trial.record import Phase
from mesh.host.tunnel import WG0

TEXT = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")] for line in TEXT.splitlines() if line[:1] == "|"
]


def test_the_words_and_exit_codes_are_the_agents() -> None:
    documented = {
        (word, int(row[1]))
        for row in ROWS
        if len(row) == 3 and row[1].isdigit()
        for word in re.findall(r"`([A-Z-]+)\b", row[0])
    }
    assert documented == {(answer.word, answer.code) for answer in Answer if answer is not Answer.DONE}


def test_the_states_are_the_agents() -> None:
    start = next(index for index, row in enumerate(ROWS) if row[0] == "state")
    documented = []
    for row in ROWS[start + 2 :]:
        found = re.fullmatch(r"`([a-z-]+)`", row[0])
        if not found or len(row) != 3:
            break
        documented.append(found[1])
    assert documented == ["idle", *Phase]


def test_every_command_is_described() -> None:
    described = {word for row in ROWS for word in re.findall(r"`(?:incoming\.pyz )?([a-z-]+)", row[0])}
    assert set(cli._COMMANDS) <= described
    for command in (*cli._UNIT_COMMANDS, *cli._TRIAL_COMMANDS):
        assert re.search(rf"`{command}( TXN)?`", TEXT), command


def test_every_unit_is_described() -> None:
    for unit in (units.FIREWALL_UNIT, units.BOOT_UNIT, *following.enabled_units(WG0)):
        assert any(f"`{unit}`" in row[0] for row in ROWS), unit


def test_the_usage_names_every_command() -> None:
    for command in (*cli._COMMANDS, *cli._UNIT_COMMANDS, *cli._TRIAL_COMMANDS):
        assert re.search(rf"\b{command}\b", cli._USAGE), command

import pulumi
import pytest

from mesh.program.remarks import tell_remarks


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", said.append)
    return said


def test_each_remark_is_a_warning_with_the_nodes_name(warned: list[str]) -> None:
    tell_remarks("web-1", "REMARK SSH from 1.2.3.4: dropped by ufw\nREMARK \x1b[2J\nCONFIRMED abc\n")
    assert warned == ["web-1: SSH from 1.2.3.4: dropped by ufw", "web-1: \\x1b[2J"]


def test_many_are_cut_and_none_says_nothing(warned: list[str]) -> None:
    tell_remarks("web-1", "CONFIRMED abc\n")
    assert warned == []
    tell_remarks("web-1", "REMARK x\n" * 30)
    assert len(warned) == 11
    assert "20 more" in warned[-1]

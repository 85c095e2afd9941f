"""How mistakes are worded: the refused value, its path, and the word that was probably meant."""

import pytest

from mesh.settings.keys import unknown_key
from mesh.settings.problems import nearest, nearest_of, path_text, show

WIREGUARD_KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
PUBLIC_SSH_KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIMzUfO2eM8tJGiBGGlVUNBsd0JBTcPlvDeIRLGMqLY4o"
KEYS_ARE_MADE = "`up` makes the keys and keeps them in the stack's state; never write a key here"
A_KEY_IN_IT = "a value with a key in it (not shown)"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain", "'plain'"),
        (" two\n lines ", "'two lines'"),
        ("x" * 60, f"'{'x' * 60}'"),
        ("x" * 61, f"'{'x' * 60}...'"),
        (None, "null"),
        (True, "true"),
        (False, "false"),
        ("None", "'None'"),
        (7, "7"),
        (["a", None], "['a', None]"),
        (list(range(40)), f"{str(list(range(40)))[:60]}..."),
        (f"x {WIREGUARD_KEY}", A_KEY_IN_IT),
        ([WIREGUARD_KEY], A_KEY_IN_IT),
        ("-----BEGIN PRIVATE KEY-----", A_KEY_IN_IT),
        (PUBLIC_SSH_KEY, f"'{PUBLIC_SSH_KEY[:60]}...'"),
    ],
)
def test_a_refused_value_is_shown_cut_on_one_line_and_without_keys(value: object, shown: str) -> None:
    assert show(value) == shown


def test_a_path_is_written_as_in_the_file_and_odd_keys_in_quotes() -> None:
    assert path_text("mesh", ("nodes", "web-1", "public", 0)) == "mesh.nodes.web-1.public[0]"
    assert path_text("prod", ("a_b.c", "x y", "")) == "prod.a_b.c.'x y'.''"
    assert path_text("mesh", ()) == "mesh"


@pytest.mark.parametrize(
    ("word", "known", "told"),
    [
        ("ndoes", ["nodes", "port"], "did you mean nodes?"),
        ("PORT", ["nodes", "port"], "did you mean port?"),
        ("authorized_keys", ["from", "authorizedKeys"], "did you mean authorizedKeys?"),
        ("zzz", ["nodes", "port"], "known are nodes, port"),
        ("zzz", ["nodes"], "the only known word is nodes"),
        ("zzz", [], "none is known"),
        (7, ["nodes", "port"], "known are nodes, port"),
        ("web-3", ["db-1", "web-1", "web-2"], "did you mean web-2?"),
    ],
)
def test_the_nearest_known_word_is_told_or_all_of_them(word: object, known: list[str], told: str) -> None:
    assert nearest(word, known) == told


def test_a_word_with_its_letters_swapped_is_nearer_than_one_that_looks_alike() -> None:
    assert nearest_of("form", ["forms", "from"]) == "from"
    assert nearest_of("---", ["from"]) is None
    assert nearest_of("abcdefg", ["abcdxyz"]) is None


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("server_type", "is not a known key; did you mean type?"),
        ("Server-Type", "is not a known key; did you mean type?"),
        ("adress", "is not a known key; did you mean address?"),
        ("private_key", f"is not a known key: {KEYS_ARE_MADE}; remove this key"),
        (7, "is not a known key; known are address, type"),
    ],
)
def test_a_key_from_elsewhere_is_known_however_it_is_spelled(key: object, told: str) -> None:
    assert unknown_key(key, ["address", "type"]).text == told

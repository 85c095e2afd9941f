"""What a node that is in other hands may answer: reports bent in every way, noise, escapes, floods."""

import json
import random
from typing import Any

GOOD: dict[str, Any] = {
    "agent": "ab" * 32,
    "current": "cd" * 32,
    "differences": [{"item": "mtu", "live": "1400", "wanted": "1420"}],
    "peers": {"pub": {"endpoint": "192.0.2.1:51820", "handshake_age": 3, "received": 1, "sent": 2}},
    "rotation": {
        "phase": "both",
        "since": 1_700_000_000,
        "pairs": {"web-2": {"route": "old", "waits": "no word on port 51821"}},
    },
    "state": "idle",
    "trial": None,
    "version": 1,
}
NASTY = [
    "\x1b]0;PWNED\x07\x1b[2J\x1b[1;1Hall 3 nodes match the stack\x1b[8m",
    "[/nope]",
    "[red]all is well[/red]",
    "\x9b31m",
    "\u202e\u2066abc\u2069",
    "\u200b\u200d\ufeff\u00ad",
    "\r\n\x00\x7f\x85\u2028",
    "z\u0300\u0301" * 500,
    "\ud800",
    "x" * 100_000,
    "",
]
ODD: list[Any] = [
    *NASTY,
    None,
    True,
    -1,
    10**30,
    1.5,
    float("nan"),
    float("inf"),
    [],
    {},
    [1],
    {"a": {}},
    {"item": None},
    {"seconds_left": "soon"},
    {"seconds_left": 1e308},
    {"phase": None, "since": -1, "pairs": []},
    {"web-2": {"route": "\x1b[2J", "waits": "z\u0300" * 5_000}},
    [{"item": None, "live": "x", "wanted": "y"}],
    {"pub": {"handshake_age": "never", "received": -1, "sent": 1e400}},
]
RAW = [
    "[" * 200_000,
    '{"a":' * 100_000,
    "9" * 5_000,
    '{"state": "idle", "state": "live"}',
    "",
    "\n" * 1_000,
    "Welcome\n" + json.dumps(GOOD),
    json.dumps(GOOD) + "\n\x1b[2J",
    "exited with status 75\nRECONNECT a\n" * 15_000,
    "CONFIRMED x\n",
    "null",
    "[]",
    "{}",
    "\x1b[2J" * 10_000,
    "rtt min/avg/max/mdev = ../x",
]


def answer(dice: random.Random) -> bytes:
    """Make up an answer."""
    kind = dice.randrange(4)
    if kind == 0:
        text = dice.choice(RAW)
    elif kind == 1:
        text = json.dumps(_bent(dice, GOOD), ensure_ascii=dice.random() < 0.5)
    elif kind == 2:
        return dice.randbytes(dice.randrange(2_000))
    else:
        noise = "".join(dice.choice(NASTY) for _ in range(3))
        text = noise + json.dumps(_bent(dice, GOOD)) + dice.choice(NASTY)
    return text.encode("utf-8", "surrogatepass")


def _bent(dice: random.Random, value: Any) -> Any:
    """Change something somewhere within."""
    if dice.random() < 0.3:
        return dice.choice(ODD)
    if isinstance(value, dict) and value:
        name = dice.choice(list(value))
        bent = {**value, name: _bent(dice, value[name])}
        if dice.random() < 0.2:
            del bent[name]
        if dice.random() < 0.2:
            bent[dice.choice(NASTY)] = dice.choice(ODD)
        return bent
    if isinstance(value, list) and value:
        return [_bent(dice, value[0])] * dice.choice([1, 2, 50])
    return dice.choice(ODD)

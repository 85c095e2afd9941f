"""The ruleset of last resort lets in SSH and WireGuard, and forgets no port by which a session came."""

from mesh.host.files.rescue import rescue_ports, rescue_ruleset, wider_rescue


def test_it_names_its_ports_in_order() -> None:
    text = rescue_ruleset({2222, 22}, 51999)
    assert "tcp dport { 22, 2222 } accept" in text
    assert "udp dport 51999 accept" in text
    assert rescue_ports(text) == {22, 2222}


def test_one_with_more_ports_stays() -> None:
    wider = rescue_ruleset({22, 2222}, 51820)
    assert wider_rescue(wider, {22}, 51820) == wider


def test_one_for_another_udp_port_or_of_others_is_made_anew() -> None:
    for text in (rescue_ruleset({22, 2222}, 1), "", "table inet x {}"):
        assert wider_rescue(text, {22}, 51820) == rescue_ruleset({22}, 51820)

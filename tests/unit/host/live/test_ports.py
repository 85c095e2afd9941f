from mesh.host.live.ports import taken_ports

UDP = """\
   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
  100: 00000000:CA6C 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 123 2 0 0
  200: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 124 2 0 0
"""
UDP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue
  300: 00000000000000000000000000000000:14E9 00000000000000000000000000000000:0000 07 00000000:00000000
"""


def test_ports_of_both_families_are_read_from_the_kernels_tables() -> None:
    assert taken_ports(UDP) == {51820, 53}
    assert taken_ports(UDP6) == {5353}
    assert taken_ports("") == set()

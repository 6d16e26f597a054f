"""Small programs with the library, each of which runs on one machine and ends by itself (`python -m examples.both_ends`).

::

    both_ends.py           a server and a client in one program, with a key of their own
    web_app_behind_nat.py  an ASGI application that users reach through a tunnel
    live_figures.py        a forwarder, and what passes through it while it does
    drive_a_master.py      a master, and its REST API used from a program
    udp_echo.py            datagrams through a tunnel
    who_may_come_in.py     a port for each customer, with the networks he comes from and his rate
    watcher.py             hears that the other end has gone, and that it is back

`tests/docs/test_examples.py` runs them, and compares what they print.
"""

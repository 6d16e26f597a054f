"""Fuzzing: any bytes at all, for everything that reads what others have written.

::

    target.py       what a target is, and how it is judged
    wire.py         the wire protocol: src/nodepass/protocol, and what of src/nodepass/policy takes a peer's figures
    settings.py     what a user writes: src/nodepass/config
    transports.py   frames and packets of the transports, as far as they need no event loop
    targets.py      the table of them all
    corpus.py       committed inputs: a folder for each target; examples, and all that ever failed
    one.py          a coverage-guided fuzzer of one target, in a process of its own
    __main__.py     `python -m tests.fuzz`: that for several, with a verdict
    test_*.py       hypothesis, for a short while and always the same; and the committed inputs
"""

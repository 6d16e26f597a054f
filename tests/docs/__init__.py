"""The documentation is tried out: every command in it runs, and what a page shows of an output is what came out.

::

    pages.py         a page as steps: fenced blocks, and the comments that say how to try them
    world.py         what a page's hosts and ports are here: one table
    outputs.py       what a page shows of an output, compared with what came
    services.py      what pages take for granted: a web server, sshd, redis, a name server
    story.py         one page tried out from top to bottom
    test_stories.py  each page is tried out
    test_blocks.py   what no command runs is parsed; what cannot be run here is counted
    test_harness.py  the above fails where it should
    test_site.py     the site builds without a warning, and loads nothing from elsewhere
    test_quotes.py   log lines that pages quote are in the source
    test_names.py    parameters, variables, commands and URLs in sentences are real ones
    test_nox.py      CONTRIBUTING.md names the sessions of noxfile.py
    test_reference.py what the site takes from the code is whole
    test_examples.py the programs of `examples` do what they say

A comment stands in front of the block it is about, and readers do not see it:

- ``<!-- run: in the background until "REGEX" -->``: it keeps running; the page goes on when a line matches. A block that is
  `nodepass "server://…"` or the like needs no comment.
- ``<!-- run: exits with 2 -->``: this exit code, and not 0.
- ``<!-- run: not here: REASON -->``: it cannot be run in a test. `test_blocks` lists all of these.
- ``<!-- run: as SERVICE -->``: in its place, a service of `services.py` is started, or told to read its files again.
- ``<!-- file: PATH -->``: the block is written to this file.
- ``<!-- fill: "REGEX" -->``: the block's `…` is what the regex found in a line of a program that runs.

A comment of its own:

- ``<!-- given: SERVICE at HOST:PORT -->``: the reader has this already.
- ``<!-- stop: TEXT -->``: Ctrl-C to the program whose command contains the text.

A block of `text` is the output of the `sh` block before it (see `outputs.py`).
"""

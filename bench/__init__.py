"""The benchmark: `python -m bench`, from the root of a working copy. docs/performance.md says what it does and why.

A `Row` of the table is a `Load` over a `Setup`. Each `Contender` knows the commands that make such a setup; the `Runner`
starts them, alternates between them run by run, and hands what it measured to the reports.

```
model.py         what a row, a setup, a load, a figure and a contender are
rows.py          the rows there are
arguments.py     the command line
runner.py        starts, alternates, survives what fails
stage.py         one contender, running
processes.py     what runs: started, asked what it costs, always stopped; interrupts.py keeps that so
contenders/      commands of nodepass and its peers
loads/           what users do, and what is measured meanwhile
targets.py       what stands at the far end, and echo_target.py, the one of our own
gate.py          what takes the extension out of a handshake
machine.py       what it ran on
results.py       what was measured, and as JSON
files.py         what is written is tried beforehand, and never half there
table.py         the same as text; compare.py against an older one; plot.py as pictures, with growth.py for the lines
```
"""

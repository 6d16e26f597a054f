"""What goes wrong in the world, done to a tunnel while traffic whose every byte is known runs through it.

`content` is what users and targets say to each other, `target` the process at the far end, `traffic` the users and
what became of each, `datagrams` a user of UDP, `chaos` a way that a network can spoil, `scene` a tunnel between all
of those. `faults` do what can happen to a scene, `catalogue` names them, and `bounds` says how long things may take
and how much may be left; `governed` is such a tunnel under a master, `accounts` what users and targets say in the
end, held against each other. `strangers` and `insider` are those who mean harm without the key and with it; `abuse`
is what the latter does below its streams. `loops` is a thread with an event loop, `table` what is kept of a run,
`soak` minutes of it with a verdict. There is a file of tests for each: the tools themselves, faults, faults of a
master, its disk, names (with `name_server`), clocks (with `clock`), hostile input, that at a master, that of a v1 client,
those who are idle, limits.

`python -m tests.adversity` runs them and prints a table; `--long` is every fault over every kind of tunnel, `--soak` mixed
traffic with restarts.

What always holds: every byte that arrives is compared with the one that was sent. Who is served knows that the other side
has had everything; who is not served is told, and so is the other side. When all have gone, each end has the tasks, objects
and descriptors that it had before they came (`tests.harness.Census`).
"""

"""One instance as several processes (`workers`): one that supervises, and others that each run it on an event loop.

`parent` starts them and has the sockets; `child` is the place that the instance finds itself in there. What both see
without asking is in `cells`, what they say to each other in `messages`.
"""

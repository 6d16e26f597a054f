"""`nodepass ctl`: what a person or a script does with a master's API from a command line."""

"""The reference that is made from the code: schemas, AsyncAPI, topics, events, HTTP APIs and state diagrams.

`python -m libs.events.docs` writes it, `--check` names what is stale. Golden examples are made once, when a contract is
new, and never rewritten: they are the memory of what was on the bus, and today's reader must read all of them.
"""

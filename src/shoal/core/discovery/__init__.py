"""Where candidates for a container come from: interchangeable strategies behind one interface.

See `contract` for what a strategy must be told and what it does, `settings` for what can be set,
`strategies` for making one node's part of any of them.
"""

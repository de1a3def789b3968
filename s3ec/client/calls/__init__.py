"""How a call is carried out: each operation's handler, the requests themselves, and the ways around what is slow."""

"""One window for all processes that use an account: a group, its leader, and what each member may use of it.

Every member sends a heartbeat, never in the path of a call: what it runs and wants, and what it was refused. The group
answers with a share of the account's window. One member, the leader, replays what all have told into the window that
finds limits, and publishes its size. Whoever reaches no group goes on alone.
"""

"""Limit sharing between the processes of one account: group, leader, and the share of each member.

Each member sends heartbeats outside the path of calls: its attempts, its demand and its refusals. The group answers
with a share of the account's limit. One member, the leader, replays the reports of all into the adaptive limit and
publishes its size. A member that reaches no group continues alone.
"""

"""Who is told what happened: Prometheus, OpenTelemetry, the audit log, the program's log. None of them can fail a call.

Each is a listener: an object that is called with every event (``deepseek_async.events``).
"""
